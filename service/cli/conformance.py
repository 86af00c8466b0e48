"""`thoracle conformance`."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import ConfigOption, failures, out, settings_from


def conformance(
    config: ConfigOption = None,
    file: Annotated[
        Path | None, typer.Option("--out", help="File to write it to (Markdown); default: print it.")
    ] = None,
) -> None:
    """Print the DICOM conformance statement (PS3.2) of this version and this configuration, for the PACS administrator.

    It is made from what the service goes by: SOP classes, transfer syntaxes, statuses, TLS, and the attributes of every
    object, found by encoding a sample. It takes some seconds, and reads no data.

    [bold]Example[/]

      thoracle conformance --config thoracle.yaml --out conformance.md
    """
    settings = settings_from(config)
    with failures("Not written"):
        from service.conformance.statement import statement

        text = statement(settings)
        if file is None:
            out.print(text, markup=False, end="")
        else:
            file.write_text(text, encoding="utf-8")
