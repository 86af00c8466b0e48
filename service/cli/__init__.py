"""The command line: `thoracle COMMAND --help` teaches each command with examples."""

import sys
import warnings
from typing import Annotated

import typer

from service.cli.lazy import LazyGroup

# Warnings of pydicom and highdicom quote attribute values: patient names must not reach a log.
if not sys.warnoptions:
    warnings.simplefilter("ignore")

app = typer.Typer(
    name="thoracle",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="rich",
)


def _version(wanted: bool) -> None:
    if wanted:
        from service.cli.version import version

        version()
        raise typer.Exit


@app.callback()
def thoracle(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Clinical inference for chest CT: DICOM in; SEG, SR and PDF out. Research use only. Not for diagnostic use."""
