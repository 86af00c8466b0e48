"""How `thoracle jobs list --worklist` prints the studies to be read."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.table import Table

from service.cli.options import out
from service.cli.tables import at_full_width
from service.domain.job_words import headline_in_words

_NONE = "-"


def show_worklist(studies: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Print them in the order in which they come. studies: as `store.worklist` returns them."""
    if not studies:
        out.print("There are no studies to be read.")
        return
    table = Table("job", "pipeline", "rank", "urgency", "age", "state", "review", "warnings", "result", box=None)
    for one in studies:
        table.add_row(
            one["job_id"],
            one["pipeline"],
            _NONE if one["rank"] is None else f"{one['rank']:.2f}",
            one["urgency"],
            age_in_words(now - one["created_at"]),
            one["state"],
            "before the latest analysis" if one["reviewed_before"] else "none",
            ", ".join(one["flags"]),
            headline_in_words(one["headline"]) if one["headline"] else "",
        )
    at_full_width(table)


def age_in_words(age: timedelta) -> str:
    """How long ago the study was complete: "5 min", "3 h", "2 d"."""
    minutes = max(0, int(age.total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} d"
