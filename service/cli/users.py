"""`thoracle users`: local accounts of the HTTP API."""

import sys
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from service.cli.options import ConfigOption, failures, out, settings_from, who
from service.cli.tables import at_full_width, time_in_words
from service.composition import users as composed_users
from service.domain.login import ACCOUNT_SUBJECT, ROLE_MEANINGS, Role, composed

users = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="""Local accounts of the HTTP API: add, list, remove, give other roles or another password.

    For trial and emergency: at a hospital people log in at its OpenID provider. Accounts
    work where `api.login.accounts` is true (docs/how-to/log-in.md).

    [bold]Examples[/]

      thoracle users add ada --role reviewer

      thoracle users role ada --role reviewer --role operator

      thoracle users remove ada
    """,
)

Name = Annotated[str, typer.Argument(help="1 to 64 letters, digits, dots, hyphens and underscores.")]
Roles = Annotated[
    list[Role],
    typer.Option("--role", help="; ".join(f"{role}: {meaning}" for role, meaning in ROLE_MEANINGS.items()) + "."),
]

_LEGAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
LONGEST = 64


@users.command("add")
def add(name: Name, role: Roles, config: ConfigOption = None) -> None:
    """Make an account. The password is asked for, or read from the first line of the standard input.

    [bold]Examples[/]

      thoracle users add ada --role reviewer

      pass show thoracle/ada | thoracle users add ada --role reviewer
    """
    name, settings = legal(name), settings_from(config)
    password = _password()
    with failures():
        accounts, _, trail = composed_users.users(settings)
        with trail.entry(who(), "add user", subject(name), roles=sorted(role)):
            accounts.add(name, password, role)
    out.print(f"{escape(name)} may log in as {', '.join(sorted(role))}.")
    if not settings.api.login.accounts:
        out.print("Accounts do not work yet: set api.login.accounts to true.")


@users.command("list")
def list_(config: ConfigOption = None) -> None:
    """All accounts, with their roles and last logins.

    [bold]Example[/]

      thoracle users list
    """
    settings = settings_from(config)
    with failures():
        found = composed_users.existing_users(settings).everybody()
    table = Table("name", "roles", "made", "last login", box=None)
    for one in found:
        used = time_in_words(one["login_at"]) if one["login_at"] else "never"
        table.add_row(escape(one["name"]), ", ".join(one["roles"]), time_in_words(one["made_at"]), used)
    at_full_width(table)


@users.command("remove")
def remove(name: Name, config: ConfigOption = None) -> None:
    """Delete an account, and end its sessions at once.

    [bold]Example[/]

      thoracle users remove ada
    """
    settings = settings_from(config)
    with failures():
        accounts, _, trail = composed_users.users(settings)
        with trail.entry(who(), "remove user", subject(name)):
            accounts.remove(name)
    out.print(f"{escape(name)} cannot log in any more.")


@users.command("role")
def role(name: Name, role: Roles, config: ConfigOption = None) -> None:
    """Give an account these roles in place of those that it has, at once.

    [bold]Example[/]

      thoracle users role ada --role reviewer --role operator
    """
    settings = settings_from(config)
    with failures():
        accounts, _, trail = composed_users.users(settings)
        with trail.entry(who(), "change roles", subject(name), roles=sorted(role)):
            accounts.set_roles(name, role)
    out.print(f"{escape(name)} is {', '.join(sorted(role))}.")


@users.command("password")
def password(name: Name, config: ConfigOption = None) -> None:
    """Give an account another password, and end its sessions. It is asked for, or read from the standard input.

    [bold]Example[/]

      thoracle users password ada
    """
    settings = settings_from(config)
    new = _password()
    with failures():
        accounts, _, trail = composed_users.users(settings)
        with trail.entry(who(), "change password", subject(name)):
            accounts.set_password(name, new)
    out.print(f"{escape(name)} has another password.")


@users.command("logout")
def logout(
    name: Annotated[str, typer.Argument(help="As it is written at login.")], config: ConfigOption = None
) -> None:
    """End all sessions of a name at once, those by OpenID too.

    [bold]Example[/]

      thoracle users logout ada
    """
    settings = settings_from(config)
    with failures():
        _, sessions, trail = composed_users.users(settings)
        name = composed(name)
        with trail.entry(who(), "end sessions", subject(name)) as detail:
            detail["sessions"] = ended = sessions.end_all(name)
    out.print(f"Sessions ended: {ended}.")


def subject(name: str) -> str:
    """Return what the audit trail calls an account."""
    return f"{ACCOUNT_SUBJECT}{name}"


def legal(name: str) -> str:
    """Return the name; typer.BadParameter if no account or token is called so."""
    if not 0 < len(name) <= LONGEST or not _LEGAL.issuperset(name):
        raise typer.BadParameter(f"a name has 1 to {LONGEST} letters, digits, dots, hyphens and underscores")
    return name


def _password() -> str:
    """Return the password: asked for twice at a terminal, else the first line of the standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")
