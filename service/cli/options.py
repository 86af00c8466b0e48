"""Options that several commands share, and the way they report a bad configuration."""

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
from rich.console import Console
from rich.markup import escape
from sqlalchemy.exc import SQLAlchemyError

from service.cli.configuration import VARIABLE, chosen
from service.errors import ThoracleError
from service.settings import Settings, load
from service.store.engine import in_words

USAGE, FAILURE, REFUSED = 2, 1, 3

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

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
    """Whose command this is, for the audit trail."""
    return f"{getuser()}@{gethostname()}"


@contextmanager
def failures(what: str = "Failed") -> Iterator[None]:
    """A failure in one line, which begins with `what`, and exit code 1."""
    try:
        yield
    except (ThoracleError, OSError, SQLAlchemyError) as error:
        why = in_words(error) if isinstance(error, SQLAlchemyError) else str(error)
        err.print(f"[red]{what}:[/] {escape(why)}")
        raise typer.Exit(FAILURE) from error


def settings_from(config: Path | None) -> Settings:
    """The settings, or exit code 2 with one line per mistake."""
    try:
        return load(config)
    except ValidationError as error:
        for mistake in error.errors():
            where = ".".join(map(str, mistake["loc"])) or "configuration"
            err.print(f"[red]{escape(where)}[/]: {escape(mistake['msg'])}")
    except SettingsError as error:
        err.print(f"[red]configuration[/]: {escape(str(error))}")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        err.print(f"[red]configuration[/]: not YAML: {escape(' '.join(str(error).split()))}")
    except (TypeError, ValueError):  # what pydantic-settings makes of a list or a word
        err.print("[red]configuration[/]: the file must hold lines of the form 'name: value'")
    err.print(f"The configuration {escape(str(config or 'from the environment'))} is not usable.")
    raise typer.Exit(USAGE)
