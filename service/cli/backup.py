"""`thoracle backup`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from service.cli.options import ConfigOption, err, failures, out, settings_from, who
from service.composition.audit_messages import tell_exported
from service.composition.backup import Told
from service.composition.backup import backup as back_up


def backup(
    folder: Annotated[Path, typer.Argument(help="Where it goes, into a folder of its own. Not on the same disk.")],
    config: ConfigOption = None,
) -> None:
    """Copy database, images, results, models of your own and the audit key, while the service works.

    With PostgreSQL by its pg_dump; what a bucket keeps is not copied, nor is the configuration.
    `thoracle restore` brings it back.

    [bold]Example[/]

      thoracle backup /backups --config thoracle.yaml
    """
    os.umask(0o077)
    settings = settings_from(config)
    with failures("Not backed up"), copying() as told:
        made = back_up(settings, folder, told)
    with failures("Backed up, but the collector of audit messages will not hear of it"):
        tell_exported(settings, who(), made.folder)
    out.print(f"{made.files} files and the database are in {escape(str(made.folder))}")
    if made.gone:
        out.print(f"{made.gone} files were purged meanwhile")
    out.print(f"without {escape('; '.join(made.without))}")


@contextmanager
def copying() -> Iterator[Told]:
    """Shows how many files are copied; nothing of it is left when it ends."""
    columns = (TextColumn("copying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as shown:
        task = shown.add_task("copying")
        yield lambda done, every: shown.update(task, completed=done, total=every)
