"""Where the configuration comes from: the option, the environment, or one of the usual places."""

import os
from pathlib import Path

import typer
from rich.markup import escape

from service.cli.terminal import Terminal

VARIABLE = "THORACLE_CONFIG"
FILE = "thoracle.yaml"

_err = Terminal(stderr=True, highlight=False, soft_wrap=True)


def usual_places() -> tuple[Path, ...]:
    """Returns where a configuration is looked for when none is named; the first one that is there counts."""
    personal = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(FILE), Path(personal).expanduser() / "thoracle" / FILE, Path("/etc/thoracle") / FILE


def chosen(named: Path | None) -> Path | None:
    """Returns the configuration file to use: the named one, else the first of the usual places; None if there is none.

    Prints which one was found. An empty THORACLE_CONFIG means: no file. Exit code 2 if a file that was found cannot be
    read: another configuration in its place would name other data.
    """
    if named is not None or VARIABLE in os.environ:
        return named
    found = next((path for path in _expanded() if _is_there(path)), None)
    if found is None:
        return None
    if not os.access(found, os.R_OK):
        _err.print(f"[red]configuration[/]: {escape(str(found))} may not be read by this user; name one with --config")
        raise typer.Exit(2)
    _err.print(f"[dim]configuration: {escape(str(found))}[/]")
    return found


def _is_there(path: Path) -> bool:
    """A folder that this user may not look into counts as empty."""
    try:
        return path.is_file()
    except PermissionError:
        return False


def _expanded() -> tuple[Path, ...]:
    """A user without a home folder has no personal place."""
    try:
        return usual_places()
    except RuntimeError:
        return Path(FILE), Path("/etc/thoracle") / FILE
