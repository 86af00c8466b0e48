"""Tables on the command line."""

from datetime import datetime

from rich.table import Table

from service.cli.options import out
from service.cli.terminal import Terminal

_WIDEST = 1000


def at_full_width(table: Table) -> None:
    """Print it: an identifier cut short is of no use. Its cells are plain text: others wrote what they say."""
    Terminal(file=out.file, width=_WIDEST, highlight=False, soft_wrap=True, markup=False).print(table)


def time_in_words(at: datetime | None) -> str:
    """In this host's time zone; "" for None."""
    return "" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
