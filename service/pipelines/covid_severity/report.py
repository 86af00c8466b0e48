"""Content of the report: score, extent and classification, a table of lobes and lungs, four pictures."""

from collections.abc import Iterator

from service.domain import codes
from service.domain.analysis import Analysis, MeasurementGroup
from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES, Lobe
from service.domain.ct import CT
from service.domain.ports import Step
from service.domain.report import Bar, Card, Column, Line, ReportBody, Row, Table, TableRow
from service.imaging.figures import SCALE
from service.pipelines.covid_severity import score
from service.pipelines.shared import lobe_segments
from service.pipelines.shared.flags import NOT_RELIABLE
from service.pipelines.shared.opacity_report import (
    DEFINITION,
    VOLUMES,
    cells,
    extent,
    figures,
    in_words,
    legend,
    percent,
)
from service.pipelines.shared.reliability_measurements import WITHHELD

TITLE = "Chest CT: lung opacity report"
NO_CLASSIFIER = "Classification: no validated model installed"

_COLUMNS = (
    *(Column(title, right) for title, right in zip(VOLUMES.values(), (0.335, 0.455, 0.605, 0.745), strict=True)),
    Column("Opacity %", 0.845),
    Column("Score", 1.0),
)
_BAR = (0.862, 0.922)
_TABLE_NOTE = (
    "Score per lobe 0-5, in brackets without noise floor. Percentages are truncated; scores use unrounded values."
)
_LOBE = "Lobe: 0 none, 1 <5 %, 2 ≤25 %, 3 ≤50 %, 4 ≤75 %, 5 >75 % affected."
_MILD, _MODERATE = score.HIGHEST["mild"], score.HIGHEST["moderate"]
_TOTAL = f"Total: mild 1-{_MILD}, moderate {_MILD + 1}-{_MODERATE}, severe {_MODERATE + 1}-{score.MAX}."


def report(ct: CT, analysis: Analysis, step: Step) -> ReportBody:
    """step: called before each picture."""
    large, small = figures(ct, analysis, step)
    note = WITHHELD if NOT_RELIABLE in analysis.flags else _TABLE_NOTE
    return ReportBody(
        title=TITLE,
        cards=(_severity(analysis), extent(analysis), _classification(analysis)),
        table=Table("Region", _COLUMNS, tuple(_rows(analysis)), _BAR, note),
        large=large,
        small=small,
        legend=legend(),
        scale=SCALE,
        notes_heading="Scoring",
        notes=_scoring(analysis),
        findings=tuple(_regions(analysis)),
        quality=_agreement(analysis),
    )


def _severity(analysis: Analysis) -> Card:
    headline = analysis.headline
    if headline.value is None:
        return Card(score.NAME, "not given", lines=(Line(headline.words, 8.0, wrapped=True),), absent=True)
    published = headline.remark if headline.remark == "no noise floor" else _without_floor(analysis)
    lines = [Line(f"Involvement: {headline.category}", 9.5, bold=True)]
    if headline.words.endswith(score.WITHIN_NORMAL):
        lines.append(Line(score.WITHIN_NORMAL, 8.0))
    if analysis.doubts:
        lines.append(Line(f"! Score doubtful: {', '.join(analysis.doubts)}", 7.5, bold=True, wrapped=True))
    bar = Bar(headline.value / score.MAX, ((_MILD + 0.5) / score.MAX, (_MODERATE + 0.5) / score.MAX))
    return Card(score.NAME, f"{headline.value:g} / {score.MAX}", published, bar, tuple(lines))


def _without_floor(analysis: Analysis) -> str:
    return f"without noise floor: {analysis.group('SEVERITY')['score_without_noise_floor']:g}"


def _classification(analysis: Analysis) -> Card:
    found = analysis.classification
    if found is None or not found.probabilities:
        return Card(NO_CLASSIFIER, "not available", lines=(Line("No probability is given."),), absent=True)
    rows = tuple(Row(one.title, f"{one.value:.2f}", one.value) for one in found.probabilities)
    return Card(f"Classification probabilities · {analysis.pipeline.name}", rows=rows)


def _rows(analysis: Analysis) -> Iterator[TableRow]:
    for side, lobes in (("right", RIGHT_LOBES), ("left", LEFT_LOBES)):
        for lobe in lobes:
            group = analysis.group(lobe.name)
            yield _row(lobe_segments.SEGMENT_OF[lobe].title, group, _lobe_score(group))
        yield _row(f"{side.capitalize()} lung", analysis.group(f"LUNG_{side.upper()}"), "", total=True)
    total = analysis.headline.value
    words = "not given" if total is None else f"{total:g} / {score.MAX}"
    yield _row("Both lungs", analysis.group("LUNG_TOTAL"), words, total=True)


def _row(name: str, group: MeasurementGroup, score_text: str, total: bool = False) -> TableRow:
    part = percent(group)
    return TableRow(name, (*cells(group), score_text), None if part is None else part / 100, total)


def _scores(group: MeasurementGroup) -> tuple[int, int] | None:
    """Reported and published score of a lobe; None where it has none."""
    found = {m.name: int(m.value) for m in group.measurements if m.unit == codes.SCORE}
    published = found.get("score_without_noise_floor")
    return None if published is None else (found.get("score", published), published)


def _lobe_score(group: MeasurementGroup) -> str:
    if (scores := _scores(group)) is None:
        return "not given" if group["volume_ml"] else "not found"
    reported, published = scores
    return f"{reported}" if reported == published else f"{reported} ({published})"


def _scoring(analysis: Analysis) -> tuple[str, ...]:
    severity = {m.name: m.value for m in analysis.group("SEVERITY").measurements}
    if "noise_floor_ml" not in severity:
        return DEFINITION, _LOBE, _TOTAL
    limits = f"{severity['noise_floor_ml']:g} mL and {severity['noise_floor_percent']:g} % of it"
    noise = f"Noise floor: a lobe is scored only if its opacity exceeds both {limits}; less is found in normal lungs."
    return DEFINITION, _LOBE, noise, _TOTAL


def _agreement(analysis: Analysis) -> tuple[str, ...]:
    found = {m.name: m.value for m in analysis.uncertainty}
    if "agreement_two" not in found:
        return ()
    clear = "" if "clear_lung_hu" not in found else f" Clear lung {found['clear_lung_hu']:.0f} HU"
    if "gradient_hu" in found:
        clear += f", back minus front {found['gradient_hu']:.0f} HU"
    return (f"Agreement of two networks on opacities (Dice): {found['agreement_two']:.2f}.{clear and clear + '.'}",)


def _regions(analysis: Analysis) -> Iterator[str]:
    for side, lobes in (("right", RIGHT_LOBES), ("left", LEFT_LOBES)):
        for lobe in lobes:
            yield f"{lobe_segments.SEGMENT_OF[lobe].title}: {_lobe_in_words(analysis, lobe)}."
        yield f"{side.capitalize()} lung: {in_words(analysis.group(f'LUNG_{side.upper()}'))}."


def _lobe_in_words(analysis: Analysis, lobe: Lobe) -> str:
    group = analysis.group(lobe.name)
    if not group["volume_ml"]:
        return "not found"
    scores = _scores(group)
    return f"{in_words(group)}, {'no score given' if scores is None else f'score {scores[0]}'}"
