"""`thoracle audit`: who changed what."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from service.cli.options import FAILURE, ConfigOption, err, failures, out, settings_from, who
from service.cli.tables import at_full_width, time_in_words
from service.composition import audit_messages, audit_trail

DIGITS = 12
"""Of a digest: enough to tell two files apart."""


audit = typer.Typer(
    help="""Show who changed what, the latest first: models, and what operators did with jobs; refusals too.

    An entry that stays `begun` tells of a change that a kill cut short.

    [bold]thoracle audit verify[/] finds what somebody has changed of it afterwards.

    [bold]Examples[/]

      thoracle audit --config thoracle.yaml

      thoracle audit --subject lobes --since 2026-11-01
    """,
    rich_markup_mode="rich",
)


@audit.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    subject: Annotated[str | None, typer.Option(help="Only of this model or job.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only at or after this time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    config: ConfigOption = None,
) -> None:
    if context.invoked_subcommand is not None:
        sources = {name: context.get_parameter_source(name) for name in context.params}
        given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
        if given:
            raise typer.BadParameter(f"--{given[0]} goes behind {context.invoked_subcommand!r}, or is not for it")
        return
    settings = settings_from(config)
    with failures():
        entries = audit_trail.audit(settings).entries(subject, since.astimezone() if since else None, limit)
        audit_messages.tell_read(settings, who())
    if not entries:
        out.print("There are no such entries.")
        return
    at_full_width(audit_table(entries))


@audit.command("verify")
def verify(config: ConfigOption = None) -> None:
    """Read the whole trail, and say where it is not what was written.

    Each entry holds a digest of the one before, and a key outside the database signs the last one every minute.

    Exit code 0: nothing was changed, removed or put in between; 1: something was, or it cannot be told.

    [bold]Example[/]

      thoracle audit verify --config thoracle.yaml
    """
    settings = settings_from(config)
    with failures("Not verified"):
        found = audit_trail.verified(settings)
        audit_messages.tell_read(settings, who())
    if found.broken:
        err.print(f"[red]broken[/] {escape(audit_trail.in_words(found))}")
        raise typer.Exit(FAILURE)
    out.print(escape(audit_trail.in_words(found)))


@audit.command("key")
def key(config: ConfigOption = None) -> None:
    """Print the public key of this host, by which others verify what it has signed.

    Keep it elsewhere too: it tells whether the trail and the key were both replaced.

    [bold]Example[/]

      thoracle audit key --config thoracle.yaml
    """
    settings = settings_from(config)
    with failures():
        out.print(audit_trail.public_key(settings))


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
