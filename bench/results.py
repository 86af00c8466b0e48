"""The file of results: runs, each with its machine and the figures of the parts that it was the last to measure."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Run = Mapping[str, Any]


def read_runs(file: Path) -> list[Run]:
    """Returns the runs of a file, oldest first; none where there is no file."""
    if not file.exists():
        return []
    runs: list[Run] = json.loads(file.read_text(encoding="utf-8"))["runs"]
    return runs


def without_parts(runs: Iterable[Run], parts: Collection[str]) -> Iterator[Run]:
    """Yields the runs without the figures of these parts, and without those of which nothing is left."""
    for run in runs:
        figures = [figure for figure in run["figures"] if figure["part"] not in parts]
        if figures:
            yield {**run, "figures": figures}


def write_runs(file: Path, runs: Iterable[Run]) -> None:
    file.write_text(json.dumps({"runs": list(runs)}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
