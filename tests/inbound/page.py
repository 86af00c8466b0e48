"""docs/reference/inbound-cases.md, written by the run itself."""

from collections.abc import Iterable
from pathlib import Path

from tests.inbound.cases import RIGHT
from tests.inbound.run import Row

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "inbound-cases.md"

_HEAD = """# Inbound cases

Written by `make inbound-cases`; do not edit.

Each row is a CT that was once reported to break a system of this field, built anew from the demo CT and analysed.

| Case | What was sent | Right | Got |
|---|---|---|---|
"""


def text(rows: Iterable[Row]) -> str:
    """The page."""
    return _HEAD + "".join(
        f"| {row.name} | {RIGHT[row.name].shown} | {RIGHT[row.name].words()} | {row.got} |\n" for row in rows
    )
