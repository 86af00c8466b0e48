"""`thoracle audit`: who changed what."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from service.cli.options import ConfigOption, failures, out, settings_from
from service.cli.tables import at_full_width, time_in_words
from service.composition import job_actions

DIGITS = 12
"""Of a digest: enough to tell two files apart."""


def audit(
    subject: Annotated[str | None, typer.Option(help="Only of this model or job.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only at or after this time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    config: ConfigOption = None,
) -> None:
    """Show who changed what, the latest first: models, and what operators did with jobs; refusals too.

    An entry that stays `begun` tells of a change that a kill cut short.

    [bold]Examples[/]

      thoracle audit --config thoracle.yaml

      thoracle audit --subject lobes --since 2026-11-01
    """
    settings = settings_from(config)
    with failures():
        entries = job_actions.audit(settings).entries(subject, since.astimezone() if since else None, limit)
    if not entries:
        out.print("There are no such entries.")
        return
    at_full_width(audit_table(entries))


def audit_table(entries: Iterable[Mapping[str, Any]]) -> Table:
    """One line for each entry."""
    table = Table("when", "who", "what", "subject", "outcome", "detail", box=None)
    for one in entries:
        detail = _in_words(one["detail"])
        row = (time_in_words(one["at"]), one["who"], one["what"], one["subject"], one["outcome"], detail)
        table.add_row(*row)
    return table


def _in_words(detail: Mapping[str, Any]) -> str:
    """Digests in short, of which `GET /api/audit` has every digit."""
    return ", ".join(f"{name} {_value(name, value)}" for name, value in detail.items() if value not in ("", None))


def _value(name: str, value: object) -> str:
    if isinstance(value, Mapping):
        return f"({_in_words(value) or 'nothing'})"
    return str(value)[:DIGITS] if name == "sha256" else str(value)
