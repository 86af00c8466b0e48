"""`thoracle serve`."""

import logging
from enum import StrEnum
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from service import main
from service.cli.options import FAILURE, ConfigOption, err, settings_from
from service.errors import ThoracleError
from service.ops import logs, metrics
from service.storage import host_locks, metrics_dir
from service.store.engine import in_words


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
) -> None:
    """Run the service: receive CTs, analyse them, send the results to the PACS.

    Stops cleanly on SIGTERM or Ctrl-C: running work finishes or is taken up again at the next start.

    [bold]Examples[/]

      thoracle serve --config thoracle.yaml

      THORACLE_RECEIVER__PORT=104 thoracle serve -c thoracle.yaml

      thoracle serve -c thoracle.yaml --role worker    (one process only)
    """
    settings = settings_from(config)
    logs.configure(settings.log_level, role.value)
    here = host_locks(settings)
    try:
        if role is Role.all:
            raise typer.Exit(main.serve(settings, config))
        name = here.claim(metrics.COUNTING, role.value)
        metrics.count_in(metrics_dir(settings), name)
        {Role.receiver: main.run_receiver, Role.worker: main.run_worker, Role.api: main.run_api}[role](settings, name)
    except (ThoracleError, OSError, SQLAlchemyError) as error:
        why = in_words(error) if isinstance(error, SQLAlchemyError) else error
        logging.getLogger(__name__).error("cannot run: %s", why)
        err.print(f"[red]Cannot run:[/] {why}. 'thoracle doctor' tells more.")
        raise typer.Exit(FAILURE) from error
