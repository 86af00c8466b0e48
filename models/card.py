"""Metrics and the model card beside them: numbers are measured and rendered, never typed."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

METRICS, CARD = "metrics.json", "CARD.md"

Render = Callable[[Mapping[str, Any]], str]


def write_metrics(folder: Path, metrics: Mapping[str, Any], render: Render) -> None:
    """Write `metrics.json` and the card rendered from it."""
    (folder / METRICS).write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    (folder / CARD).write_text(render(metrics), encoding="utf-8")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"
