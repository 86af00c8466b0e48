"""`thoracle serve`."""

import logging
import os
from enum import StrEnum
from importlib import import_module
from typing import Annotated

import typer
from rich.markup import escape
from sqlalchemy.exc import SQLAlchemyError

from service.cli.options import FAILURE, ConfigOption, err, in_words, settings_from
from service.composition.storage import create_data_dir, host_locks, metrics_dir
from service.errors import Permanent, ThoracleError
from service.ops import counting_files, logs
from service.ops.supervisor import HOPELESS
from service.ops.zone import check_zone
from service.roles import together

_OURS_ALONE = 0o077
"""No file of the service is for anybody but its user, unless its maker says so (models)."""


class Role(StrEnum):
    """The processes of a service."""

    all = "all"
    receiver = "receiver"
    worker = "worker"
    api = "api"


def serve(
    config: ConfigOption = None,
    role: Annotated[
        Role,
        typer.Option(help="Run only this process. Several may share one data directory; 'all' starts and minds them."),
    ] = Role.all,
    listening: Annotated[
        int | None, typer.Option(hidden=True, help="Descriptor of the port of a receiver, from its parent.")
    ] = None,
) -> None:
    """Run the service: receive CTs, analyse them, send the results to the PACS.

    Stops cleanly on SIGTERM or Ctrl-C: running work finishes or is taken up again at the next start.

    [bold]Examples[/]

      thoracle serve --config thoracle.yaml

      THORACLE_RECEIVER__PORT=104 thoracle serve -c thoracle.yaml

      thoracle serve -c thoracle.yaml --role worker    (one process only)
    """
    os.umask(_OURS_ALONE)
    settings = settings_from(config)
    logs.configure(settings.log_level, role.value)
    try:
        check_zone()
        create_data_dir(settings)
        here = host_locks(settings)
        if role is Role.all:
            raise typer.Exit(together.run(settings, config))
        name = here.claim(counting_files.COUNTING, role.value)
        counting_files.count_in(metrics_dir(settings), name)
        run = import_module(f"service.roles.{role.value}").run  # only what this process needs
        run(settings, name, *([listening] if role is Role.receiver else []))
    except (ThoracleError, OSError, SQLAlchemyError) as error:
        why = in_words(error)
        logging.getLogger(__name__).error("cannot run: %s", why)
        err.print(f"[red]Cannot run:[/] {escape(why)}. 'thoracle doctor' tells more.")
        hopeless = role is not Role.all and isinstance(error, Permanent)
        raise typer.Exit(HOPELESS if hopeless else FAILURE) from error
