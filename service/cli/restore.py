"""`thoracle restore`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from service.cli.backup import copying
from service.cli.options import ConfigOption, failures, out, settings_from, who
from service.composition.audit_messages import tell_imported
from service.composition.backup import restore as bring_back


def restore(
    backup: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The folder that `backup` made.")],
    config: ConfigOption = None,
) -> None:
    """Bring a backup back where there is no database yet, before the service starts.

    Every file is checked first. What was not delivered when the backup was made is sent again, byte for byte: a PACS
    that has it already keeps one.

    [bold]Example[/]

      thoracle restore /backups/thoracle-20261130T100000Z --config thoracle.yaml
    """
    os.umask(0o077)
    settings = settings_from(config)
    with failures("Not restored"), copying() as told:
        files = bring_back(settings, backup, told)
    with failures("Restored, but the collector of audit messages will not hear of it"):
        tell_imported(settings, who(), backup)
    out.print(f"{files} files and the database are back; now: thoracle serve")
