"""How two analyses of one CT differ, as a table: one line per label, then headline and scores."""

from rich import box
from rich.markup import escape
from rich.table import Table

from service.imaging.difference import Difference, Value

_DIGITS = 4
"""Of Dice: what is lost in rounding shows in the fourth."""


def difference_table(found: Difference, reference: str, candidate: str) -> Table:
    """reference, candidate: what the columns are called."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("label")
    for heading in ("Dice", f"{escape(reference)}\nmL", f"{escape(candidate)}\nmL"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, label in found.labels.items():
        table.add_row(name, f"{label.dice:.{_DIGITS}f}", f"{label.reference_ml:.1f}", f"{label.candidate_ml:.1f}")
    table.add_section()
    table.add_row(escape(found.headline_name), "", *map(_value, found.headline))
    for name, pair in {**found.scores, **found.drift}.items():
        table.add_row(f"  {escape(name)}", "", *map(_value, pair))
    return table


def _value(value: Value) -> str:
    return "–" if value is None else f"{value:.4g}"
