"""`thoracle retry`."""

from typing import Annotated

import typer

from service import main
from service.cli.options import FAILURE, ConfigOption, err, out, settings_from
from service.domain.job import IllegalTransition


def retry(
    job_id: Annotated[str, typer.Argument(metavar="JOB_ID", help="As listed by /api/jobs.")],
    config: ConfigOption = None,
) -> None:
    """Try a failed or undelivered job again.

    A failed job is analysed again; of an undelivered one the stored bytes are sent again. The running service takes it
    up within seconds.

    [bold]Example[/]

      thoracle retry 8de5317c801a1788 --config thoracle.yaml
    """
    settings = settings_from(config)
    try:
        out.print(f"job {job_id} is {main.retry(settings, job_id)}")
    except (IllegalTransition, LookupError) as error:
        err.print(f"[red]Not possible:[/] {error}")
        raise typer.Exit(FAILURE) from error
