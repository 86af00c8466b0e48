"""The tables that `thoracle evaluate` prints: one line per label, and what a reader must know to trust the means."""

from collections.abc import Mapping

from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from service.imaging.agreement import Agreement, BlandAltman, Distribution, Summary, summarise

_NONE = "–"

Labels = Mapping[str, Mapping[str, Agreement]]
"""Label, then case."""


def agreement_tables(labels: Labels, tolerance_mm: float, seed: int) -> Group:
    """Overlap and surfaces, then volumes: together they are wider than a terminal."""
    summaries = {label: summarise(list(cases.values()), seed) for label, cases in labels.items()}
    return Group(_outlines(summaries, tolerance_mm), _volumes(summaries, labels))


def _outlines(summaries: Mapping[str, Summary], tolerance_mm: float) -> Table:
    table = _table("n", "Dice", "Jaccard", "surface\nDice", "H95\nmm", "added\npath mm")
    for label, summary in summaries.items():
        table.add_row(
            escape(label),
            str(summary.cases),
            *(_mean(summary.metrics[metric], 3, 2) for metric in ("dice", "jaccard", "surface_dice")),
            _mean(summary.metrics["h95_mm"], 1, 1),
            _mean(summary.metrics["added_path_length_mm"], 0, 0),
        )
    empty = (f"{escape(label)}: {sentence}" for label, s in summaries.items() if (sentence := _empty(s)))
    table.caption = "\n".join((f"Surface Dice at {tolerance_mm:g} mm.{_legend(summaries)}", *empty))
    return table


def _volumes(summaries: Mapping[str, Summary], labels: Labels) -> Table:
    table = _table("truth\nmL", "bias\nmL", "r")
    for label, summary in summaries.items():
        truth_ml = sum(case.truth_ml for case in labels[label].values()) / summary.cases
        table.add_row(
            escape(label), _millilitres(truth_ml), _bias(summary.volume), _or_none(summary.volume.pearson_r, 3)
        )
    return table


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, caption_justify="left")
    table.add_column("label", overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _legend(summaries: Mapping[str, Summary]) -> str:
    if all(summary.cases == 1 for summary in summaries.values()):
        return ""
    return " Below means: their 95 % interval; below bias: limits of agreement."


def _empty(summary: Summary) -> str:
    """Cases that have no H95, or no overlap at all."""
    kinds = {"both": summary.empty_both, "only PRED": summary.empty_pred, "only TRUTH": summary.empty_truth}
    return ", ".join(f"{which} empty in {count}" for which, count in kinds.items() if count)


def _mean(values: Distribution, digits: int, interval_digits: int) -> str:
    if values.ci95 is None:
        return _or_none(values.mean, digits)
    low, high = values.ci95
    return f"{values.mean:.{digits}f}\n{low:.{interval_digits}f}-{high:.{interval_digits}f}"


def _bias(volume: BlandAltman) -> str:
    if volume.limits_ml is None:
        return _millilitres(volume.bias_ml, "+")
    low, high = (_millilitres(limit, "+") for limit in volume.limits_ml)
    return f"{_millilitres(volume.bias_ml, '+')}\n{low} to {high}"


def _millilitres(volume_ml: float, sign: str = "") -> str:
    return f"{volume_ml:{sign}.{0 if abs(volume_ml) >= 100 else 1}f}"


def _or_none(value: float | None, digits: int) -> str:
    return _NONE if value is None else f"{value:.{digits}f}"
