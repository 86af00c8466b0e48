"""Content of the report: burden, extent and agreement, a table of lobes and lungs, four pictures."""

from collections.abc import Iterator

from service.domain.analysis import Analysis, MeasurementGroup
from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES
from service.domain.ct import CT
from service.domain.ports import Step
from service.domain.report import Bar, Card, Column, Line, ReportBody, Table, TableRow
from service.domain.rounding import percent_text
from service.imaging.figures import SCALE
from service.pipelines.covid_burden.result import NAME
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

TITLE = "Chest CT: pneumonia burden report"

_COLUMNS = (
    *(Column(title, right) for title, right in zip(VOLUMES.values(), (0.345, 0.485, 0.655, 0.815), strict=True)),
    Column("Burden %", 0.93),
)
_BAR = (0.94, 1.0)
_NOTES = (
    DEFINITION,
    "Burden: ground-glass plus high opacity in percent of the lung. High opacity is what is as dense as consolidation.",
    "Effusion counts as far as the networks take it for opacity inside the lungs; what lies outside of them does not.",
)


def report(ct: CT, analysis: Analysis, step: Step) -> ReportBody:
    """step: called before each picture."""
    large, small = figures(ct, analysis, step)
    note = WITHHELD if NOT_RELIABLE in analysis.flags else "Percentages are truncated."
    return ReportBody(
        title=TITLE,
        cards=(_burden(analysis), extent(analysis), _reliability(analysis)),
        table=Table("Region", _COLUMNS, tuple(_rows(analysis)), _BAR, note),
        large=large,
        small=small,
        legend=legend(),
        scale=SCALE,
        notes_heading="Burden",
        notes=_NOTES,
        findings=tuple(_regions(analysis)),
    )


def _burden(analysis: Analysis) -> Card:
    headline = analysis.headline
    if headline.value is None:
        return Card(NAME, "not given", lines=(Line(headline.words, 8.0, wrapped=True),), absent=True)
    lines = [Line(headline.words, 8.0, wrapped=True)]
    if analysis.doubts:
        lines.append(Line(f"! Burden doubtful: {', '.join(analysis.doubts)}", 7.5, bold=True, wrapped=True))
    return Card(NAME, f"{percent_text(headline.value)} %", "of both lungs", Bar(headline.value / 100), tuple(lines))


def _reliability(analysis: Analysis) -> Card:
    found = {m.name: m.value for m in analysis.uncertainty}
    lines = [Line("Dice of opacities with and without the slices around, with a slack of 20 mL", 7.5, wrapped=True)]
    if "clear_lung_hu" in found:
        lines.append(Line(f"Clear lung {found['clear_lung_hu']:.0f} HU", 8.0))
    if "gradient_hu" in found:
        lines.append(Line(f"Back minus front {found['gradient_hu']:.0f} HU", 8.0))
    return Card("Agreement of two networks", f"{found['agreement_two']:.2f}", lines=tuple(lines))


def _rows(analysis: Analysis) -> Iterator[TableRow]:
    for side, lobes in (("right", RIGHT_LOBES), ("left", LEFT_LOBES)):
        for lobe in lobes:
            yield _row(lobe_segments.SEGMENT_OF[lobe].title, analysis.group(lobe.name))
        yield _row(f"{side.capitalize()} lung", analysis.group(f"LUNG_{side.upper()}"), total=True)
    yield _row("Both lungs", analysis.group("LUNG_TOTAL"), total=True)


def _row(name: str, group: MeasurementGroup, total: bool = False) -> TableRow:
    part = percent(group)
    return TableRow(name, tuple(cells(group)), None if part is None else part / 100, total)


def _regions(analysis: Analysis) -> Iterator[str]:
    for side, lobes in (("right", RIGHT_LOBES), ("left", LEFT_LOBES)):
        for lobe in lobes:
            group = analysis.group(lobe.name)
            yield f"{lobe_segments.SEGMENT_OF[lobe].title}: {in_words(group) if group['volume_ml'] else 'not found'}."
        yield f"{side.capitalize()} lung: {in_words(analysis.group(f'LUNG_{side.upper()}'))}."
