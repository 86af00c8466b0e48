"""`thoracle analyse`."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from service.analysis.analyst import Analyst, Outcome, Run
from service.analysis.compare_with_prior import ANY_AGE, Comparer
from service.analysis.prior_folder import PriorFolder
from service.cli.options import FAILURE, REFUSED, USAGE, ConfigOption, err, failures, out, settings_from
from service.composition.analysis import analysts
from service.domain.comparison_words import sentences
from service.domain.ports import Progress as Report
from service.errors import ThoracleError
from service.evidence.context import ALWAYS, HEAT_MAP, PRODUCTS, Selection, segmentation_products
from service.pipelines import PIPELINES, named
from service.store.dicom_folder import DAMAGED, UNREADABLE, SeriesFiles, scan


def analyse(
    source: Annotated[
        Path,
        typer.Argument(metavar="INPUT", exists=True, help="A folder (or one file) of DICOM; several series are fine."),
    ],
    destination: Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder for the results.")],
    pipeline: Annotated[
        list[str] | None,
        typer.Option(help="Which analysis to run; may be repeated; default: every one that the configuration names."),
    ] = None,
    analysed_at: Annotated[
        datetime | None,
        typer.Option(
            parser=datetime.fromisoformat,
            metavar="TIME",
            help="Time of the analysis as the results tell it, ISO 8601; default: now. The same gives the same bytes.",
        ),
    ] = None,
    earlier: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Results of an earlier CT of the patient, with which they are compared."
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Analyse a chest CT from disk, without a server.

    Of each study the best series is chosen; every other one is listed with the reason. Writes the Segmentations that
    [bold]thoracle pipelines[/] lists, as far as anything was found, measurements.sr.dcm, study.sr.dcm, report.pdf,
    report.pdf.dcm, result.json, and heat-map.NAME.pm.dcm of pipelines that have any, whatever destinations of a
    configuration would get; results that lie in the folder are removed first, as they may be another patient's. INPUT
    with several studies: one folder per study, and one that fails does not stop the others. Several pipelines: one
    folder for each, below that.

    With --earlier DIR the results are compared with those of an earlier analysis in DIR: of the same patient, by the
    same pipeline, of an earlier day. Nothing is compared where name, birth date or sex contradict.

    The rules (`when`) of the configuration's `pipelines` are not applied: every pipeline analyses what it is given.

    Exit code 0: analysed; 3: refused, the reasons are printed and in result.json; 2: usage; 1: failure of a study, or a
    DICOM file that is damaged or cannot be read, each named.

    [bold]Examples[/]

      thoracle analyse demo/ct --out results

      thoracle analyse /media/cdrom -o results --pipeline covid-severity

    [bold]thoracle pipelines[/] lists the analyses.
    """
    if earlier is not None and _overlap(earlier.resolve(), destination.resolve()):
        err.print("[red]--earlier and --out must be apart: results in --out are removed first.[/]")
        raise typer.Exit(USAGE)
    settings = settings_from(config)
    try:
        chosen = [named(name) for name in pipeline or [one.name for one in settings.pipelines]]
    except ThoracleError as error:
        err.print(f"[red]{escape(str(error))}[/]")
        raise typer.Exit(USAGE) from error
    with failures():
        codes = set()
        with _progress() as progress:
            task = progress.add_task("looking for DICOM files")
            ignored: dict[Path, str] = {}
            studies = _by_study(scan([source], ignored.__setitem__))
            codes |= _tell_left_out(ignored)
            if not studies:
                err.print(f"There are no DICOM files in {escape(str(source))}.")
                raise typer.Exit(USAGE)
            ready = {
                name: replace(
                    one,
                    selections=(Selection(kinds=ALWAYS | {HEAT_MAP.kind}),),
                    notice=False,
                    comparer=None if earlier is None else Comparer(PriorFolder(earlier), ANY_AGE),
                )
                for name, one in analysts(settings, chosen).items()
            }
            _clear(destination)
            run = Run((analysed_at or datetime.now()).astimezone())
            for number, series in enumerate(studies, 1):
                folder = destination if len(studies) == 1 else destination / f"study-{number}"

                def report(stage: str, fraction: float, number: int = number) -> None:
                    prefix = f"study {number}/{len(studies)}: " if len(studies) > 1 else ""
                    progress.update(task, description=prefix + stage, completed=100 * fraction, total=100)

                for name, one in ready.items():
                    codes.add(_analyse(one, series, report, run, folder if len(ready) == 1 else folder / name))
    if code := next((code for code in (FAILURE, REFUSED) if code in codes), 0):
        raise typer.Exit(code)


def _overlap(one: Path, other: Path) -> bool:
    return one == other or one in other.parents or other in one.parents


def _tell_left_out(ignored: Mapping[Path, str]) -> set[int]:
    """Exit codes. What may be an image is named file by file: it may be the end of a series, which nobody misses."""
    lost = {path: why for path, why in ignored.items() if why.startswith((DAMAGED, UNREADABLE))}
    for why, count in Counter(why for path, why in ignored.items() if path not in lost).items():
        err.print(f"[yellow]left out[/] {count} files: {escape(why)}")
    for path, why in lost.items():
        err.print(f"[red]left out[/] {escape(str(path))}: {escape(why)}")
    return {FAILURE} if lost else set()


def _analyse(ready: Analyst, series: Sequence[SeriesFiles], report: Report, run: Run, folder: Path) -> int:
    """Exit code of one study. Whatever goes wrong with it, the next one has its turn."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        outcome = ready.analyse(series, report, {}, run)
        _write(folder, outcome)
    except (ThoracleError, OSError, MemoryError) as error:
        why = str(error) or type(error).__name__
        err.print(f"[red]Failed:[/] study {escape(series[0].study_uid)}: {escape(why)}")
        return FAILURE
    _tell(outcome, folder, wanted_comparison=ready.comparer is not None)
    return 0 if outcome.series_uid else REFUSED


def _progress() -> Progress:
    columns = (TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=err, transient=True)


def _by_study(series: Sequence[SeriesFiles]) -> list[list[SeriesFiles]]:
    studies: dict[str, list[SeriesFiles]] = {}
    for one in series:
        studies.setdefault(one.study_uid, []).append(one)
    return list(studies.values())


def _clear(destination: Path) -> None:
    """Remove the results of an earlier run, of one study or several: they may be another patient's."""
    ours = [product for one in PIPELINES for product in segmentation_products(one.label_maps)]
    products = (*PRODUCTS, *ours)
    studies = (destination, *destination.glob("study-[0-9]*"))
    of_pipelines = (folder / one.name for folder in studies for one in PIPELINES)
    for folder in (*of_pipelines, *reversed(studies)):
        for path in folder.glob("*.*"):
            if path.name == "result.json" or any(product.may_be(path.name) for product in products):
                path.unlink()
        if folder != destination and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _write(folder: Path, outcome: Outcome) -> None:
    for item in outcome.evidence:
        (folder / item.file_name).write_bytes(item.content)
    (folder / "result.json").write_text(json.dumps(outcome.document, indent=2) + "\n", encoding="utf-8")


def _tell(outcome: Outcome, folder: Path, wanted_comparison: bool = False) -> None:
    for series_uid, refusals in outcome.refusals.items():
        for refusal in refusals:
            out.print(f"[yellow]not analysed[/] series {escape(series_uid)}: {escape(str(refusal))}")
    if outcome.analysis is None:
        out.print(
            f"[red]Refused.[/] Nothing in this study can be analysed; reasons: {escape(str(folder / 'result.json'))}"
        )
        return
    by = f"by {outcome.analysis.pipeline} in {sum(outcome.timings_s.values()):.1f} s"
    out.print(f"[green]Analysed[/] series {escape(str(outcome.series_uid))} {by}")
    for sentence in (outcome.analysis.headline.sentence, *outcome.analysis.summary):
        out.print(f"  {escape(sentence)}")
    if (found := outcome.analysis.comparison) is not None:
        for sentence in sentences(found):
            out.print(f"  {escape(sentence)}")
    elif wanted_comparison:
        why = "there is no result of this pipeline for an earlier day, or a warning says why"
        out.print(f"  [yellow]nothing was compared:[/] {why}")
    if reasons := outcome.analysis.doubts:
        out.print(f"  [yellow]result doubtful:[/] {escape(', '.join(reasons))}")
    for sentence in outcome.document["warnings"]:
        out.print(f"  [yellow]warning[/] {escape(sentence)}")
    out.print(f"  results: {escape(str(folder))}")
