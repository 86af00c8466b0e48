"""`thoracle parity`."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from service.cli.difference_table import difference_table
from service.cli.options import FAILURE, ConfigOption, failures, out, settings_from
from service.cli.progress import trying
from service.composition.backends import backend
from service.errors import Permanent
from service.pipelines import named
from service.rollout.parity import Parity, compare_backends, largest_ct
from service.settings import Settings, trial_ct

Kind = Literal["onnx", "cuda", "tensorrt", "triton"]
"""onnx: ONNX Runtime in this process on the CPU; cuda, tensorrt: the same on a GPU."""

_NO_CT = "There is no CT to compare them on: name a folder with a chest CT, here or as `inference.trial_ct`."


def parity(
    ct: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]",
            exists=True,
            help="A chest CT; of several series, the largest. Default: `inference.trial_ct`.",
        ),
    ] = None,
    reference: Annotated[Kind, typer.Option(help="The back end that is trusted.")] = "onnx",
    candidate: Annotated[Kind, typer.Option(help="The back end that is to be.")] = "triton",
    repository: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Other models for the candidate; default: the installed ones."),
    ] = None,
    pipeline: Annotated[str | None, typer.Option(help="Which analysis runs; default: the first configured.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    config: ConfigOption = None,
) -> None:
    """Compare the installed models on two back ends, on one CT, before one takes the other's place.

    The whole analysis runs on both. Of every network: how far its answers are apart, and whether any is all black, the
    same everywhere or not a number, as happens in 16 bits. Of the result: Dice and volume of every label, the
    headline and all scores. The demo CT is only one patient: use some of your own, too.

    Exit code 0: they agree; 1: they do not, or a back end failed.

    [bold]Examples[/]

      thoracle parity --config thoracle.yaml

      thoracle parity /media/cdrom --candidate triton --json

      thoracle parity --candidate onnx --repository new-models

      thoracle parity --candidate cuda
    """
    settings = settings_from(config)
    with failures():
        chosen = ct or trial_ct(settings)
        if chosen is None:
            raise Permanent(_NO_CT)
        with trying() as progress:
            progress("reading the CT", 0.0)
            found = compare_backends(
                named(pipeline or settings.pipelines[0].name),
                largest_ct(chosen),
                backend(_on(settings, reference, None)),
                backend(_on(settings, candidate, repository)),
                progress,
            )
    if as_json:
        typer.echo(json.dumps(found.as_document(), indent=2, allow_nan=False))
    else:
        _tell(found, reference, candidate if repository is None else f"{candidate}, {repository.name}")
    if found.mistakes:
        raise typer.Exit(FAILURE)


def _on(settings: Settings, kind: Kind, repository: Path | None) -> Settings:
    where = (
        {"backend": kind} if kind == "triton" else {"backend": "onnx", "provider": "cpu" if kind == "onnx" else kind}
    )
    changed: dict[str, Any] = where | ({"repository": repository} if repository else {})
    return settings.model_copy(update={"inference": settings.inference.model_copy(update=changed)})


def _tell(found: Parity, reference: str, candidate: str) -> None:
    out.print(_answers(found))
    if found.difference:
        out.print(difference_table(found.difference, reference, candidate))
    for mistake in found.mistakes:
        out.print(f"[red]wrong[/] {escape(mistake)}")
    if not found.mistakes:
        out.print(f"[green]{escape(f'{reference} and {candidate}')} agree.[/]")


def _answers(found: Parity) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("model")
    table.add_column("output")
    for heading in ("values", "largest difference\nof 255", "differ by\nmore than 1"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found.answers:
        apart = (f"{one.largest:g}", f"{one.further_part:.4%}") if one.compared else ("–", "–")
        table.add_row(one.model, one.channel, f"{one.values:,}", *apart)
    return table
