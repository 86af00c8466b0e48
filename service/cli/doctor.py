"""`thoracle doctor`."""

import typer
from rich.markup import escape

from service.cli.options import FAILURE, ConfigOption, err, out, settings_from
from service.composition.doctor import doctor as check_installation


def doctor(config: ConfigOption = None) -> None:
    """Check configuration, ports, disk, models and destinations, and say in words what is wrong.

    Exit code 0: everything is in order; 1: something must be mended before the service can work.

    [bold]Example[/]

      thoracle doctor --config thoracle.yaml
    """
    settings = settings_from(config)
    if config is None:
        err.print("[yellow]note[/] no configuration file was named or found: defaults and environment are checked")
    failed = False
    for check in check_installation(settings, config):
        failed |= not check.ok
        mark = "[green]ok  [/]" if check.ok else "[red]FAIL[/]"
        out.print(f"{mark} {escape(check.name)}: {escape(check.message)}")
    if failed:
        raise typer.Exit(FAILURE)
