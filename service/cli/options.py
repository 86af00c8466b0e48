"""Options that several commands share, and the way they report a bad configuration."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path
from socket import gethostname
from typing import Annotated

import typer
import yaml
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.markup import escape
from sqlalchemy.exc import SQLAlchemyError

from service.cli.configuration import VARIABLE, chosen
from service.cli.terminal import Terminal
from service.errors import ThoracleError
from service.settings import Settings, load
from service.store.engine import in_words as database_words

USAGE, FAILURE, REFUSED = 2, 1, 3

out = Terminal(highlight=False, soft_wrap=True)
err = Terminal(stderr=True, highlight=False, soft_wrap=True)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar=VARIABLE,
        exists=True,
        dir_okay=False,
        callback=chosen,
        help="Configuration file (YAML); default: ./thoracle.yaml, ~/.config/thoracle/thoracle.yaml or "
        "/etc/thoracle/thoracle.yaml. See docs/reference/settings.md.",
    ),
]


def who() -> str:
    """Returns the name of the user of this command, for the audit trail; a user without a name has a number."""
    try:
        name = getuser()
    except (KeyError, OSError):
        name = f"user {os.getuid()}"
    return f"{name}@{gethostname()}"


@contextmanager
def failures(what: str = "Failed") -> Iterator[None]:
    """A failure in one line, which begins with `what`, and exit code 1."""
    try:
        yield
    except (ThoracleError, OSError, SQLAlchemyError, UnicodeEncodeError) as error:
        err.print(f"[red]{what}:[/] {escape(in_words(error))}")
        raise typer.Exit(FAILURE) from error


def in_words(error: Exception) -> str:
    """Returns what went wrong in one line, without numbers that only programmers know."""
    if isinstance(error, SQLAlchemyError):
        return database_words(error)
    if isinstance(error, UnicodeEncodeError):  # bytes of the command line that are no text in this locale
        return f"{error.object!r} is no text in the encoding {sys.getfilesystemencoding()}"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def settings_from(config: Path | None) -> Settings:
    """The settings, or exit code 2 with one line per mistake."""
    try:
        return _nameable(load(config))
    except ValidationError as error:
        for mistake in error.errors():
            where = ".".join(map(str, mistake["loc"])) or "configuration"
            err.print(f"[red]{escape(where)}[/]: {escape(mistake['msg'])}")
    except SettingsError as error:
        err.print(f"[red]configuration[/]: {escape(str(error))}")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        err.print(f"[red]configuration[/]: not YAML: {escape(' '.join(str(error).split()))}")
    except OSError as error:
        err.print(f"[red]configuration[/]: {escape(str(error))}")
    except UnicodeError as error:
        err.print(f"[red]configuration[/]: {escape(str(error))}")
    except (TypeError, ValueError):  # what pydantic-settings makes of a list or a word
        err.print("[red]configuration[/]: the file must hold lines of the form 'name: value'")
    err.print(f"The configuration {escape(str(config or 'from the environment'))} is not usable.")
    raise typer.Exit(USAGE)


def _nameable(settings: Settings) -> Settings:
    """The same settings; UnicodeError where this locale names a folder of them otherwise than UTF-8 does.

    The service would then keep its data in another folder than after a start in the usual locale.
    """
    for folder in map(str, (settings.data_dir, settings.inference.repository, settings.inference.trial_ct or "")):
        if folder.encode(sys.getfilesystemencoding(), "replace") != folder.encode("utf-8", "replace"):
            raise UnicodeError(
                f"the encoding of this locale, {sys.getfilesystemencoding()}, cannot name the folder {folder} as UTF-8 "
                "does: set LC_ALL=C.UTF-8"
            )
    return settings
