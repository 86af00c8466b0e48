"""Content of the report: headline, extent, lesions or classes, a table of lobes and lungs, four pictures."""

from collections.abc import Iterator

import numpy as np

from service.domain.analysis import Analysis, HeatMap, LabelArray, MeasurementGroup
from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES
from service.domain.ct import CT
from service.domain.ports import Step
from service.domain.report import Bar, Card, Column, Figure, LegendEntry, Line, ReportBody, Row, Table, TableRow
from service.domain.rounding import millilitres_text, percent_text
from service.imaging.figures import SCALE, Scene, axial, coronal, front, overlay
from service.imaging.render import Mark
from service.imaging.render_slice import swatch
from service.pipelines.covid_triage import segments
from service.pipelines.covid_triage.flags import DENSE_LUNG
from service.pipelines.covid_triage.result import MOST_TOLD
from service.pipelines.shared import lobe_segments
from service.pipelines.shared.reliability_measurements import WITHHELD

TITLE = "Chest CT: lung lesion triage report"

MARKS = (Mark(segments.LESION.label, segments.LESION.rgb, 0.30),)
HEAT_MARK = Mark(1, (204, 121, 167), 0.45, hatched=True)
"""Influence on the class, of at least half its greatest."""

_COLUMNS = (Column("Lung mL", 0.45), Column("Lesions mL", 0.66), Column("Lesions %", 0.845))
_BAR = (0.862, 1.0)
_NOTES = (
    "Lesion: what the network finds in the lungs, of any cause; connected parts below 0.1 mL are left out.",
    "Lesions in percent of the lung.",
)
_OF_CLASSES = "Probabilities are those of the lesion that most likely is an infection."


def report(ct: CT, analysis: Analysis, step: Step) -> ReportBody:
    """step: called before each picture."""
    large, small = _figures(ct, analysis, step)
    note = WITHHELD if DENSE_LUNG in analysis.flags else "Percentages are truncated."
    rows = tuple(_row(*region) for region in _regions(analysis))
    classes = analysis.classification
    return ReportBody(
        title=TITLE,
        cards=(_headline(analysis), _extent(analysis), _lesions(analysis) if classes is None else _classes(analysis)),
        table=Table("Region", _COLUMNS, rows, _BAR, note),
        large=large,
        small=small,
        legend=tuple(_legend(analysis)),
        scale=SCALE,
        notes_heading="Lesions",
        notes=_NOTES if classes is None or not classes.probabilities else (*_NOTES, _OF_CLASSES),
        findings=tuple(_findings(analysis)),
    )


def _figures(ct: CT, analysis: Analysis, step: Step) -> tuple[tuple[Figure, Figure], tuple[Figure, Figure]]:
    """Where there is a heat map, it takes the place of the coronal plane."""
    lesions, lobes = (analysis.label_map(kind.name).labels for kind in (segments.KIND, lobe_segments.KIND))
    scene = Scene.of(ct, lesions, lobes, MARKS, "lesion")
    step()
    large = axial(scene)
    step()
    if analysis.explanations:
        (heat,) = analysis.explanations
        middle = overlay(Scene.of(ct, hot_voxels(heat), lobes, (HEAT_MARK,), "influence"), "influence on the class")
    else:
        middle = coronal(scene)
    step()
    small = (middle, front(scene))
    step()
    return large, small


def hot_voxels(heat: HeatMap) -> LabelArray:
    """Returns the labels that `HEAT_MARK` is painted on: 1 where it is, else 0; axes (slice, row, column)."""
    marked: LabelArray = (heat.values >= 0.5 * heat.values.max()).astype(np.uint8)
    return marked


def _headline(analysis: Analysis) -> Card:
    headline = analysis.headline
    lines = [Line(headline.words, 8.0, wrapped=True)]
    if DENSE_LUNG in analysis.flags:
        return Card(headline.name, "not given", lines=tuple(lines), absent=True)
    if analysis.doubts:
        lines.append(Line(f"! Doubtful: {', '.join(analysis.doubts)}", 7.5, bold=True, wrapped=True))
    if headline.value is None:
        return Card(headline.name, "none", lines=tuple(lines), absent=True)
    if analysis.classification is None:
        return Card(
            headline.name, f"{percent_text(headline.value)} %", "of both lungs", Bar(headline.value / 100), tuple(lines)
        )
    return Card(headline.name, f"{headline.value:.2f}", "of 1", Bar(headline.value), tuple(lines))


def _extent(analysis: Analysis) -> Card:
    total = analysis.group("LUNG_TOTAL")
    percent = _percent(total)
    volumes = f"{millilitres_text(total['lesion_ml'])} of {millilitres_text(total['volume_ml'])} mL"
    every = analysis.group("LESIONS")
    kinds = " · ".join(
        f"{title} {millilitres_text(every[name])} mL"
        for title, name in (("Ground-glass", "ground_glass_ml"), ("high opacity", "high_opacity_ml"))
    )
    title = "Lesions in both lungs"
    if percent is None:
        return Card(title, f"{millilitres_text(total['lesion_ml'])} mL", volumes, lines=(Line(kinds),))
    return Card(title, f"{percent_text(percent)} %", volumes, Bar(percent / 100), (Line(kinds),))


def _lesions(analysis: Analysis) -> Card:
    every = analysis.group("LESIONS")
    count = f"{every['lesion_count']:.0f}"
    if not every["lesion_count"]:
        return Card("Number of lesions", count, lines=(Line("No lesion found."),))
    return Card("Number of lesions", count, lines=(Line(f"Largest {millilitres_text(every['largest_ml'])} mL"),))


def _classes(analysis: Analysis) -> Card:
    assert analysis.classification is not None, "asked for where there is one"
    title, probabilities = "Classes (experimental)", analysis.classification.probabilities
    if not probabilities:
        assert analysis.classification.absent is not None, "it says why there are none"
        why = f"{analysis.classification.absent.meaning}."
        return Card(title, "none", lines=(Line(why, 8.0, wrapped=True),), absent=True)
    return Card(title, rows=tuple(Row(one.title, f"{one.value:.2f}", one.value) for one in probabilities))


def _legend(analysis: Analysis) -> Iterator[LegendEntry]:
    yield LegendEntry(swatch(MARKS[0]), segments.LESION.title)
    if analysis.explanations:
        yield LegendEntry(swatch(HEAT_MARK), "Influence on class")


def _regions(analysis: Analysis) -> Iterator[tuple[str, MeasurementGroup, bool]]:
    """Name and measurements of each lobe and lung, and whether it is a lung."""
    for side, lobes in (("right", RIGHT_LOBES), ("left", LEFT_LOBES)):
        for lobe in lobes:
            yield lobe_segments.SEGMENT_OF[lobe].title, analysis.group(lobe.name), False
        yield f"{side.capitalize()} lung", analysis.group(f"LUNG_{side.upper()}"), True
    yield "Both lungs", analysis.group("LUNG_TOTAL"), True


def _row(name: str, group: MeasurementGroup, total: bool) -> TableRow:
    volumes = (millilitres_text(group[name]) for name in ("volume_ml", "lesion_ml"))
    if (percent := _percent(group)) is None:
        return TableRow(name, (*volumes, "-"), None, total)
    return TableRow(name, (*volumes, percent_text(percent)), percent / 100, total)


def _percent(group: MeasurementGroup) -> float | None:
    """The part of a region that is lesion; None where it is withheld, or the region was not found."""
    return next((one.value for one in group.measurements if one.name == "lesion_percent"), None)


def in_words(name: str, group: MeasurementGroup) -> str:
    """Returns the row of a region's table as a sentence."""
    if not group["volume_ml"]:
        return f"{name}: not found."
    percent = _percent(group)
    part = "" if percent is None else f" ({percent_text(percent)} %)"
    volumes = (millilitres_text(group[one]) for one in ("volume_ml", "lesion_ml"))
    return "{}: {} mL, of it lesions {} mL{}.".format(name, *volumes, part)


def _findings(analysis: Analysis) -> Iterator[str]:
    for name, group, _ in _regions(analysis):
        yield in_words(name, group)
    lobes = {lobe_segments.site(lobe): segment.title for lobe, segment in lobe_segments.SEGMENT_OF.items()}
    for number in range(1, 1 + min(MOST_TOLD, round(analysis.group("LESIONS")["lesion_count"]))):
        lesion = analysis.group(f"LESION_{number}")
        where = lobes[lesion.site].lower()
        yield f"Lesion {number}: {where}, {millilitres_text(lesion['volume_ml'])} mL, {lesion['mean_hu']:.0f} HU."
