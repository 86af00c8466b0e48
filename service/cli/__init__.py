"""The command line: `thoracle COMMAND --help` teaches each command with examples."""

import sys
import warnings

import typer

from service.cli.analyse import analyse
from service.cli.audit import audit
from service.cli.doctor import doctor
from service.cli.evaluate import evaluate
from service.cli.jobs import jobs
from service.cli.migrate import migrate
from service.cli.models import models
from service.cli.parity import parity
from service.cli.send import send
from service.cli.serve import serve
from service.cli.triton import triton
from service.cli.version import version

# Warnings of pydicom and highdicom quote attribute values: patient names must not reach a log.
if not sys.warnoptions:
    warnings.simplefilter("ignore")

app = typer.Typer(
    name="thoracle",
    help="Clinical inference for chest CT: DICOM in; SEG, SR and PDF out. Research use only. Not for diagnostic use.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="rich",
)
app.command()(analyse)
app.command()(serve)
app.command()(send)
app.command()(doctor)
app.command()(migrate)
app.command()(evaluate)
app.add_typer(jobs, name="jobs")
app.add_typer(models, name="models")
app.command()(audit)
app.command(context_settings={"allow_extra_args": True})(triton)
app.command()(parity)
app.command()(version)
