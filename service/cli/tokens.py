"""`thoracle tokens`: API tokens of programs."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from service.cli.options import ConfigOption, failures, out, settings_from, who
from service.cli.tables import at_full_width, time_in_words
from service.cli.users import Roles, legal
from service.composition import users as composed
from service.domain.login import TOKEN_SUBJECT

tokens = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="""API tokens of programs: add, list, revoke.

    A program sends its token in the header `Authorization: Bearer ...`. Tokens work where
    `api.login.tokens` is true (docs/how-to/log-in.md). The audit trail calls the program by
    the token's name.

    [bold]Examples[/]

      thoracle tokens add ris --role viewer --days 365

      thoracle tokens list

      thoracle tokens revoke ris
    """,
)

Name = Annotated[str, typer.Argument(help="Of the program; no two tokens ever have the same.")]


@tokens.command("add")
def add(
    name: Name,
    role: Roles,
    days: Annotated[int, typer.Option(min=1, max=3650, help="It works for so many days.")] = 365,
    config: ConfigOption = None,
) -> None:
    """Make a token and print it, on a line of its own. It is shown this once: only its digest is kept.

    [bold]Example[/]

      thoracle tokens add ris --role viewer --days 365
    """
    name, settings = legal(name), settings_from(config)
    with failures():
        store, trail = composed.tokens(settings)
        with trail.entry(who(), "add token", subject(name), roles=sorted(role), days=days):
            token = store.add(name, role, timedelta(days=days), who())
    out.print(token)
    if not settings.api.login.tokens:
        out.print("Tokens do not work yet: set api.login.tokens to true.")


@tokens.command("list")
def list_(config: ConfigOption = None) -> None:
    """All tokens, with their roles, ends and last uses.

    [bold]Example[/]

      thoracle tokens list
    """
    settings = settings_from(config)
    with failures():
        found = composed.existing_tokens(settings).all()
    table = Table("name", "roles", "state", "until", "last use", "made by", box=None)
    for one in found:
        used = f"{time_in_words(one['used_at'])} from {one['used_from']}" if one["used_at"] else "never"
        cells = one["name"], ", ".join(one["roles"]), _state(one), time_in_words(one["ends_at"]), used, one["made_by"]
        table.add_row(*map(escape, cells))
    at_full_width(table)


@tokens.command("revoke")
def revoke(name: Name, config: ConfigOption = None) -> None:
    """Refuse a token from now on.

    [bold]Example[/]

      thoracle tokens revoke ris
    """
    settings = settings_from(config)
    with failures():
        store, trail = composed.tokens(settings)
        with trail.entry(who(), "revoke token", subject(name)):
            store.revoke(name)
    out.print(f"The token {escape(name)} is refused from now on.")


def subject(name: str) -> str:
    """Return what the audit trail calls a token."""
    return f"{TOKEN_SUBJECT}{name}"


def _state(one: Mapping[str, Any]) -> str:
    if one["revoked_at"]:
        return "revoked"
    return "over" if one["ends_at"] <= datetime.now(UTC) else "works"
