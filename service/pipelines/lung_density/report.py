"""Content of the report: three cards, a table of lobes and lungs, a histogram, and where the lung is thin or dense."""

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from service.domain.analysis import Analysis, LabelArray, MeasurementGroup, Segment
from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES
from service.domain.codes import GRAM_PER_LITRE, HOUNSFIELD
from service.domain.ct import CT
from service.domain.flags import doubts
from service.domain.ports import Step
from service.domain.report import (
    Band,
    Bar,
    Card,
    Chart,
    Column,
    Curve,
    Figure,
    LegendEntry,
    Line,
    Look,
    ReportBody,
    Table,
    TableRow,
)
from service.domain.rounding import millilitres_text, percent_text, rounded
from service.imaging.figures import SCALE, Scene, coloured_coronal, overlay
from service.imaging.render import Mark, Palette
from service.imaging.render_slice import gradient, swatch
from service.pipelines.lung_density import segments
from service.pipelines.lung_density.flags import CONCERNED, NOT_ADJUSTED, not_comparable
from service.pipelines.lung_density.measure import DENSITY_OF_WATER, HAA_HU, LAA_BELOW_HU, LOWEST_HU, Measure, measure
from service.pipelines.shared import lobe_segments

TITLE = "Chest CT: lung density report"

PALETTE = Palette(
    (
        (-1024.0, (50, 0, 75)),
        (-950.0, (55, 70, 150)),
        (-900.0, (40, 130, 150)),
        (-850.0, (70, 185, 115)),
        (-750.0, (160, 215, 60)),
        (-600.0, (250, 230, 60)),
        (-250.0, (255, 253, 215)),
    )
)
_MARKS = {
    segments.LAA.name: Mark(1, segments.LAA.rgb, 0.45),
    segments.HAA.name: Mark(1, segments.HAA.rgb, 0.35, hatched=True),
}

_COLUMNS = (
    Column("Volume mL", 0.32),
    Column("LAA-950 %", 0.45),
    Column("Perc15 HU", 0.585),
    Column("Adjusted g/L", 0.73),
    Column("Mean HU", 0.85),
    Column("HAA %", 0.97),
)
_MEASURES = {
    "laa_950_percent": Measure.LAA,
    "perc15_hu": Measure.PERC15,
    "pd15_adjusted_g_per_l": Measure.PERC15,
    "mean_hu": Measure.MEAN,
    "haa_percent": Measure.HAA,
}
"""What the columns after the volume show."""

_NOT_COMPARABLE = "*"

_NOTES = (
    "LAA-950: below -950 HU. HAA: -600 to -250 HU. Both in percent of the region.",
    "Perc15: 15 % of the voxels have no more HU; as a density Perc15 + 1000 g/L.",
    "Adjusted: this density x volume of both lungs / predicted total lung capacity (ECSC 1993, of Europeans).",
    "LAA-950 rises and HAA falls with the depth of breath, which only the volume / predicted capacity tells.",
    "All voxels count, unfiltered: vessels, small airways and the lungs' edge, too. No phantom calibrates the CT.",
)

_HISTOGRAM_STEP_HU, _HISTOGRAM_TICKS = 10, (-1000, -900, -800, -700, -600, -500, -400, -300, -200)


def report(ct: CT, analysis: Analysis, step: Step) -> ReportBody:
    """step: called before each picture."""
    doubted = not_comparable(analysis.flags)
    coronal, small = _pictures(ct, analysis, step)
    return ReportBody(
        title=TITLE,
        cards=(_low(analysis), _percentile(analysis), _high(analysis)),
        table=Table("Region", _COLUMNS, tuple(_rows(analysis, doubted)), note=_note(analysis)),
        large=(_histogram(ct, analysis), coronal),
        small=small,
        legend=(
            *(LegendEntry(swatch(_MARKS[of.name]), f"Axial: {_range(of)}") for of in (segments.LAA, segments.HAA)),
            LegendEntry(gradient(PALETTE), f"Coronal: {PALETTE.stops[0][0]:.0f} to {PALETTE.stops[-1][0]:.0f} HU"),
        ),
        scale=SCALE,
        notes_heading="Density",
        notes=_NOTES,
        findings=tuple(_regions(analysis)),
        quality=tuple(_air(analysis)),
    )


def _pictures(ct: CT, analysis: Analysis, step: Step) -> tuple[Figure, tuple[Figure, Figure]]:
    labels, lobes = (analysis.label_map(kind.name).labels for kind in (segments.KIND, lobe_segments.KIND))
    step()
    low, high = (_marked(ct, labels, lobes, of) for of in (segments.LAA, segments.HAA))
    step()
    return coloured_coronal(Scene.of(ct, labels, lobes, (), "attenuation"), PALETTE), (low, high)


def _marked(ct: CT, labels: LabelArray, lobes: LabelArray, area: Segment) -> Figure:
    """The axial slice with most of one kind of area."""
    only: NDArray[np.uint8] = (labels == area.label).view(np.uint8)
    return overlay(Scene.of(ct, only, lobes, (_MARKS[area.name],), f"area ({_range(area)})"), _range(area))


def _range(area: Segment) -> str:
    return {
        segments.LAA.name: f"below {LAA_BELOW_HU} HU",
        segments.HAA.name: f"{HAA_HU[0]} to {HAA_HU[1]} HU",
    }[area.name]


def _histogram(ct: CT, analysis: Analysis) -> Chart:
    """Part of the voxels in steps of 10 HU, of each lung and of both."""
    lobes = analysis.label_map(lobe_segments.KIND.name).labels
    regions = measure(ct.volume.array, lobes, ct.voxel_ml).lungs
    looks: tuple[tuple[str, Look, str], ...] = (
        ("total", "thick", "Both lungs"),
        ("right", "thin", "Right"),
        ("left", "dashed", "Left"),
    )
    total = regions["total"].whole_hu
    below = 100.0 * float(total[: _HISTOGRAM_TICKS[0] - LOWEST_HU].sum() / total.sum())
    return Chart(
        caption=f"Histogram of attenuation; {percent_text(below)} % lies below {_HISTOGRAM_TICKS[0]} HU",
        x_title="HU",
        y_title=f"% of voxels in {_HISTOGRAM_STEP_HU} HU",
        x_ticks=tuple(map(float, _HISTOGRAM_TICKS)),
        curves=tuple(Curve(title, _points(regions[side].whole_hu), look) for side, look, title in looks),
        bands=(Band("LAA-950", _HISTOGRAM_TICKS[0], LAA_BELOW_HU), Band("HAA", *HAA_HU)),
    )


def _points(counts: NDArray[np.int64]) -> tuple[tuple[float, float], ...]:
    """Middle and height of each step within the chart, in HU and percent of all voxels."""
    first, last = _HISTOGRAM_TICKS[0] - LOWEST_HU, _HISTOGRAM_TICKS[-1] - LOWEST_HU
    parts = 100.0 * counts[first:last].reshape(-1, _HISTOGRAM_STEP_HU).sum(1) / max(1, int(counts.sum()))
    middles = _HISTOGRAM_TICKS[0] + _HISTOGRAM_STEP_HU * (np.arange(len(parts)) + 0.5)
    return tuple(zip(middles.tolist(), parts.tolist(), strict=True))


def _low(analysis: Analysis) -> Card:
    headline = analysis.headline
    part = analysis.group("LUNG_TOTAL")["laa_950_percent"]
    lines = (Line(headline.words, 8.0, wrapped=True), *_doubt(Measure.LAA, analysis))
    return Card(headline.name, f"{percent_text(part)} %", "", Bar(part / 100), lines)


def _percentile(analysis: Analysis) -> Card:
    total = analysis.group("LUNG_TOTAL")
    perc15_hu = total["perc15_hu"]
    beside = _whole(perc15_hu + DENSITY_OF_WATER, "g/L")
    found = {one.name: one.value for one in total.measurements}
    if "pd15_adjusted_g_per_l" in found:
        part = found["part_of_predicted_capacity"]
        lines = [Line(f"Adjusted: {_whole(found['pd15_adjusted_g_per_l'], 'g/L')}")]
        lines.append(Line(f"Volume / predicted capacity: {part:.2f}", 8.0))
    else:
        why = next((flag.detail for flag in analysis.flags if flag == NOT_ADJUSTED), "")
        lines = [Line(f"Depth of breath unknown, not adjusted. {why}", 8.0, wrapped=True)]
    lines += _doubt(Measure.PERC15, analysis)
    return Card("15th percentile (Perc15)", _whole(perc15_hu, "HU"), beside, lines=tuple(lines))


def _high(analysis: Analysis) -> Card:
    total = analysis.group("LUNG_TOTAL")
    part = total["haa_percent"]
    volume = Line(f"Both lungs {millilitres_text(total['volume_ml'])} mL, mean {_whole(total['mean_hu'], 'HU')}")
    words = Line(f"of both lungs, {_range(segments.HAA)}", 8.0)
    lines = (words, volume, *_doubt(Measure.HAA, analysis))
    return Card("High attenuation area (HAA)", f"{percent_text(part)} %", "", Bar(part / 100), lines)


def _doubt(measure: Measure, analysis: Analysis) -> Iterator[Line]:
    if measure in not_comparable(analysis.flags):
        yield Line("! Not comparable with other CTs", 7.5, bold=True)


def _whole(value: float, unit: str) -> str:
    return f"{rounded(value, GRAM_PER_LITRE if unit == 'g/L' else HOUNSFIELD):g} {unit}"


def _note(analysis: Analysis) -> str:
    """What the asterisks mean, and why they are there."""
    reasons = doubts(flag for flag in analysis.flags if flag.code in CONCERNED)
    if not not_comparable(analysis.flags):
        return "Percentages are truncated."
    told = f" ({', '.join(reasons)})" if reasons else ""
    return f"{_NOT_COMPARABLE} Not comparable with other CTs{told}. Percentages are truncated."


def _rows(analysis: Analysis, doubted: Collection[Measure]) -> Iterator[TableRow]:
    for side, lobes in (("right", RIGHT_LOBES), ("left", LEFT_LOBES)):
        for lobe in lobes:
            yield _row(lobe_segments.SEGMENT_OF[lobe].title, analysis.group(lobe.name), doubted)
        yield _row(f"{side.capitalize()} lung", analysis.group(f"LUNG_{side.upper()}"), doubted, total=True)
    yield _row("Both lungs", analysis.group("LUNG_TOTAL"), doubted, total=True)


def _row(name: str, group: MeasurementGroup, doubted: Collection[Measure], total: bool = False) -> TableRow:
    texts = dict(_cells(group, doubted))
    cells = (texts.get(column, "-") for column in ("volume_ml", *_MEASURES))
    return TableRow(name, tuple(cells), total=total)


def _cells(group: MeasurementGroup, doubted: Collection[Measure]) -> Iterator[tuple[str, str]]:
    """Each measurement as printed, with an asterisk where it is not comparable."""
    for one in group.measurements:
        value = rounded(one.value, one.unit)
        text = f"{value:g}"
        if one.name.endswith("_ml"):
            text = millilitres_text(one.value)
        elif one.name.endswith("_percent"):
            text = percent_text(one.value)
        yield one.name, f"{text}{_NOT_COMPARABLE if _MEASURES.get(one.name) in doubted else ''}"


def _air(analysis: Analysis) -> Iterator[str]:
    found = {one.name: one.value for one in analysis.uncertainty}
    if found:
        median, noise = _whole(found["trachea_air_hu"], "HU"), _whole(found["noise_hu"], "HU")
        yield f"Air in the trachea: median {median}, noise (standard deviation) {noise}."


def _regions(analysis: Analysis) -> Iterator[str]:
    doubted = not_comparable(analysis.flags)
    for row in _rows(analysis, doubted):
        volume, low, percentile, adjusted, mean, high = row.cells
        if low == "-":
            yield f"{row.name}: not found."
            continue
        more = "" if adjusted == "-" else f" (adjusted {adjusted} g/L)"
        yield (f"{row.name}: {volume} mL, LAA-950 {low} %, Perc15 {percentile} HU{more}, mean {mean} HU, HAA {high} %.")
    if doubted:
        yield _note(analysis)
