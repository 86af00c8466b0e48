"""`thoracle evaluate`."""

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from service import __version__
from service.cli.agreement_table import agreement_tables
from service.cli.evaluation import Evaluation, Unmatched
from service.cli.options import FAILURE, USAGE, err, failures, in_words, out
from service.domain.label_selection import Selection, parse
from service.errors import ThoracleError
from service.imaging.agreement.document import metrics_csv, metrics_document
from service.imaging.agreement.plot import bland_altman_svg
from service.store.paired_files import Pairs, pair

TOLERANCE_MM = 1.18
METRICS, TABLE, PLOT = "metrics.json", "metrics.csv", "bland-altman.svg"


class Missing(StrEnum):
    """What becomes of a case without a prediction."""

    REFUSE = "refuse"
    EMPTY = "empty"
    SKIP = "skip"


def evaluate(
    pred: Annotated[str, typer.Argument(metavar="PRED", help="What is judged: a file, a folder, or a pattern with *.")],
    truth: Annotated[str, typer.Argument(metavar="TRUTH", help="What it is held against, likewise.")],
    destination: Annotated[Path, typer.Option("--out", "-o", file_okay=False, help="Folder for the results.")],
    labels: Annotated[
        str | None, typer.Option(metavar="LABEL[+LABEL]=NAME,...", help="What to compare, under which names.")
    ] = None,
    pred_labels: Annotated[
        str | None, typer.Option(metavar="LABEL[+LABEL]=NAME,...", help="The same in PRED, where it differs.")
    ] = None,
    tolerance: Annotated[float, typer.Option(min=0.0, help="Of the surface Dice, in mm.")] = TOLERANCE_MM,
    resample: Annotated[
        bool,
        typer.Option("--resample", help="Take PRED to the voxels of TRUTH by nearest neighbour where they differ."),
    ] = False,
    missing: Annotated[
        Missing, typer.Option(help="A case without PRED: refuse to start, count as empty, or skip.")
    ] = Missing.REFUSE,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
) -> None:
    """Measure how well segmentations agree with a truth.

    Per case and label: Dice, Jaccard, surface Dice, H95 (mm), volumes (mL), added path length (mm). Over the cases:
    mean with bootstrapped 95 % interval, median, volume correlation, Bland-Altman bias and limits of agreement.
    Writes metrics.json, metrics.csv and, from two cases on, bland-altman.svg.

    PRED and TRUTH are NIfTI (.nii, .nii.gz) or DICOM Segmentations (BINARY, LABELMAP), in any mixture. Axis order,
    LPS or RAS, and left-out slices make no difference; other voxels are an error unless --resample is given. In two
    folders, files of the same name (without .nii.gz, .nii, .seg.dcm, .dcm) are a case. In a pattern, quoted, the part
    that * stands for is the case.

    A LABEL is a label value, a segment number, a Segment Label or Tracking ID in any case, or * for all; labels joined
    by + are merged. Without --labels, equal values of NIfTI files and equally named segments are compared.

    Exit code 0: measured; 1: a case could not be measured, it is named; 2: usage.

    [bold]Examples[/]

      thoracle evaluate pred.nii.gz truth.nii.gz --out agreement

      thoracle evaluate predictions/ labels/ -o agreement --labels 1=lung,2=opacity

    Merge: truth with 1 healthy lung, 2 ground glass, 3 consolidation; the prediction has 1 lung, 2 opacity:

      thoracle evaluate predictions/ labels/ -o agreement
      --labels 1+2+3=lung,2+3=opacity --pred-labels 1+2=lung,2=opacity

    Our own results against NIfTI labels; a CT without findings has no findings.seg.dcm, which means empty:

      thoracle evaluate 'results/*/findings.seg.dcm' 'labels/*_label.nii.gz' -o agreement --missing empty
      --labels 2+3=opacity --pred-labels GROUND_GLASS+HIGH_OPACITY=opacity
    """
    try:
        selections = _selections(labels, pred_labels)
        pairs = pair(pred, truth)
    except (ThoracleError, ValueError, OSError) as error:
        err.print(f"[red]{escape(in_words(error))}[/]")
        raise typer.Exit(USAGE) from error
    cases = _wanted(pairs, missing)
    evaluation = Evaluation(tolerance, resample, selections)
    _measure(evaluation, cases)
    evaluation.finish()
    for case, reason in evaluation.failed.items():
        err.print(f"[red]not measured[/] {escape(case)}: {escape(reason)}")
    if not evaluation.notes:
        raise typer.Exit(FAILURE)
    settings = {
        "software_version": __version__,
        "tolerance_mm": tolerance,
        "resample": resample,
        "missing": missing.value,
        "labels": selections and {side: dict(s) for side, s in zip(("pred", "truth"), selections, strict=True)},
    }
    with failures():
        _write(destination, evaluation, settings, seed, pairs)
    _tell(evaluation, destination, seed)
    if evaluation.failed:
        raise typer.Exit(FAILURE)


def _selections(labels: str | None, pred_labels: str | None) -> tuple[Selection, Selection] | None:
    """Of PRED and of TRUTH; ValueError, in words."""
    if labels is None:
        if pred_labels is not None:
            raise ValueError("--pred-labels needs --labels, which says what the same is called in TRUTH")
        return None
    in_truth = parse(labels)
    in_pred = parse(pred_labels) if pred_labels else in_truth
    if set(in_pred) != set(in_truth):
        raise ValueError(f"--labels names {', '.join(in_truth)}; --pred-labels names {', '.join(in_pred)}")
    return in_pred, in_truth


def _wanted(pairs: Pairs, missing: Missing) -> Mapping[str, tuple[Path | None, Path]]:
    """The cases to measure; exit code 2 where predictions are missing and nobody said what that means."""
    for case in pairs.extra:
        err.print(f"[yellow]left out[/] {escape(case)}: there is no TRUTH for it")
    if pairs.missing and missing is Missing.REFUSE:
        err.print(f"[red]There is no PRED for:[/] {escape(', '.join(pairs.missing))}")
        err.print("Say --missing empty to count them as empty predictions, or --missing skip to leave them out.")
        raise typer.Exit(USAGE)
    for case in pairs.missing:
        err.print(
            f"[yellow]no PRED[/] for {escape(case)}: {'left out' if missing is Missing.SKIP else 'counted as empty'}"
        )
    return {c: paths for c, paths in pairs.cases.items() if paths[0] or missing is Missing.EMPTY}


def _measure(evaluation: Evaluation, cases: Mapping[str, tuple[Path | None, Path]]) -> None:
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("", total=len(cases))
        for case, (pred, truth) in cases.items():
            progress.update(task, description=escape(case))
            try:
                evaluation.add(case, pred, truth)
            except Unmatched as error:
                err.print(f"[red]{escape(case)}[/]: {escape(str(error))}")
                raise typer.Exit(USAGE) from error
            except (ThoracleError, OSError) as error:
                evaluation.failed[case] = f"{type(error).__name__}: {error}"
            progress.advance(task)


def _write(folder: Path, evaluation: Evaluation, settings: Mapping[str, object], seed: int, pairs: Pairs) -> None:
    """Results of an earlier run are removed first."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (METRICS, TABLE, PLOT):
        (folder / name).unlink(missing_ok=True)
    about = {
        "failed": evaluation.failed,
        "without_prediction": list(pairs.missing),
        "without_truth": list(pairs.extra),
        "notes": {case: list(notes) for case, notes in evaluation.notes.items() if notes},
    }
    document = metrics_document(evaluation.agreements, settings, seed, about)
    (folder / METRICS).write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    (folder / TABLE).write_text(metrics_csv(evaluation.agreements), encoding="utf-8")
    if len(evaluation.notes) > 1 and evaluation.agreements:
        (folder / PLOT).write_text(bland_altman_svg(evaluation.agreements), encoding="utf-8")


def _tell(evaluation: Evaluation, folder: Path, seed: int) -> None:
    for case, notes in evaluation.notes.items():
        for note in notes:
            err.print(f"[yellow]note[/] {escape(case)}: {escape(note)}")
    for sentence in evaluation.never_found():
        err.print(f"[yellow]note[/] {escape(sentence)}")
    out.print(agreement_tables(evaluation.agreements, evaluation.tolerance_mm, seed), soft_wrap=False)
    out.print(f"{len(evaluation.notes)} cases, {len(evaluation.agreements)} labels; results: {escape(str(folder))}")
