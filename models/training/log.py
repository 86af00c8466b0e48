"""The log of a run: one line of JSON per measurement, the same whether or not the run was stopped."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Line = Mapping[str, Any]
"""step, loss (mean since the line before), seconds (of this start), and at checkpoints held_out (name to value)."""


class Log:
    """`path`, less what a stopped run wrote after the `step` it goes on with."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.lines: list[Line] = [line for line in read(path) if line["step"] <= step]
        path.write_text("".join(json.dumps(line) + "\n" for line in self.lines), encoding="utf-8")

    def add(self, line: Line) -> None:
        self.lines.append(line)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def read(path: Path) -> list[Line]:
    """Every whole line; none if there is no file. A kill may have cut the last."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
