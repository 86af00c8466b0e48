"""Content of the report: volume, diameters and detection, a table of findings, and the finding in three planes."""

from collections.abc import Iterator

from service.domain.analysis import Analysis, MeasurementGroup
from service.domain.ct import CT
from service.domain.ports import Step
from service.domain.report import Bar, Card, Column, LegendEntry, Line, ReportBody, Table, TableRow
from service.domain.rounding import millilitres_text, millimetres, percent_text
from service.imaging.figures import SCALE
from service.imaging.render_slice import swatch
from service.pipelines.nsclc_gtv import codes as own
from service.pipelines.nsclc_gtv import segments
from service.pipelines.nsclc_gtv.groups import ALL
from service.pipelines.nsclc_gtv.report_figures import GTV_MARK, OTHERS_MARK, figures
from service.pipelines.nsclc_gtv.result import NOTHING
from service.pipelines.shared import lobe_segments

TITLE = "Chest CT: suspected lung tumour report"

_MOST_ROWS = 7
"""Findings in the table; the structured report has all that are told one by one."""

_COLUMNS = (
    Column("Volume mL", 0.42),
    Column("Longest mm", 0.54),
    Column("Across mm", 0.65),
    Column("3D mm", 0.74),
    Column("To surface mm", 0.87),
    Column("Solid %", 0.95),
)
_CELLS = (
    "volume_ml",
    "longest_diameter_mm",
    "perpendicular_diameter_mm",
    "longest_3d_diameter_mm",
    "pleura_distance_mm",
    "solid_percent",
)
_NOTES = (
    "A finding is what a network outlines, of whatever cause: it is suspected, not diagnosed.",
    "GTV-1: the finding of the largest volume. Candidates: all others, the largest first.",
    "Longest: in an axial slice (RECIST 1.1). Across: at right angles to it. 3D: between any two points.",
    "To surface: from the finding's border to the surface of the lung, hilum and mediastinum included; 0 touches.",
    "Solid: from -300 HU. Percentages are truncated.",
)


def report(ct: CT, analysis: Analysis, step: Step) -> ReportBody:
    """step: called before each picture."""
    findings = tuple(_told(analysis))
    large, small = figures(ct, analysis, findings, step)
    return ReportBody(
        title=TITLE,
        cards=(_volume(analysis, findings), _axes(analysis, findings), _detection(analysis, findings)),
        table=Table("Finding", _COLUMNS, tuple(_rows(analysis, findings)), note=_note(analysis, findings)),
        large=large,
        small=small,
        legend=tuple(_legend(findings)),
        scale=SCALE,
        notes_heading="Findings",
        notes=_NOTES,
        findings=tuple(_in_sentences(analysis, findings)),
    )


def _told(analysis: Analysis) -> Iterator[MeasurementGroup]:
    """The groups of GTV-1 and of the candidates."""
    known = {one.name: one for one in analysis.groups}
    for number in range(1, segments.MOST_CANDIDATES + 2):
        if (group := known.get(segments.segment(number).name)) is not None:
            yield group


def _volume(analysis: Analysis, findings: tuple[MeasurementGroup, ...]) -> Card:
    headline = analysis.headline
    if not findings:
        lines = (Line(f"{NOTHING.capitalize()}; {headline.remark}.", wrapped=True), *_doubts(analysis))
        return Card(headline.name, "none", lines=lines, absent=True)
    gtv = findings[0]
    parts = f"Solid {percent_text(gtv['solid_percent'])} %, ground glass {percent_text(gtv['ground_glass_percent'])} %"
    lines = (Line(f"{_site(gtv).capitalize()}, {gtv['mean_hu']:.0f} HU", 8.0), Line(parts, 8.0), *_doubts(analysis))
    return Card(headline.name, f"{millilitres_text(gtv['volume_ml'])} mL", "suspected", lines=lines)


def _doubts(analysis: Analysis) -> Iterator[Line]:
    if analysis.doubts:
        yield Line(f"! Doubtful: {', '.join(analysis.doubts)}", 7.5, bold=True, wrapped=True)


def _axes(analysis: Analysis, findings: tuple[MeasurementGroup, ...]) -> Card:
    if not findings:
        every = analysis.group(ALL)
        searched = f"Searched: the lung field, {millilitres_text(every['searched_ml'])} mL."
        return Card("What is a finding", rule_in_words(every), lines=(Line(searched, 8.0, wrapped=True),), absent=True)
    gtv = findings[0]
    lines = [
        Line(f"At right angles {_mm(gtv['perpendicular_diameter_mm'])}"),
        Line(f"Longest in 3D {_mm(gtv['longest_3d_diameter_mm'])}"),
    ]
    if (to_surface := _value(gtv, "pleura_distance_mm")) is not None:
        touches = "Touches the surface of the lung" if not to_surface else f"{_mm(to_surface)} from the lung's surface"
        lines.append(Line(touches))
    return Card("GTV-1: longest axial diameter", _mm(gtv["longest_diameter_mm"]), "RECIST", lines=tuple(lines))


def _detection(analysis: Analysis, findings: tuple[MeasurementGroup, ...]) -> Card:
    every = analysis.group(ALL)
    count = round(every["finding_count"])
    lines = [Line(f"{side} lung: {judged(analysis, side)}") for side in ("Right", "Left")]
    if findings:
        lines.append(Line(f"Rule: {rule_in_words(every)}", 7.5))
    candidates = max(0, count - 1)
    beside = f"{candidates} {'candidate' if candidates == 1 else 'candidates'}" if count else ""
    return Card("Findings", str(count), beside, Bar(0.0) if not count else None, tuple(lines))


def rule_in_words(every: MeasurementGroup) -> str:
    """The detection rule. every: the group about all findings."""
    return f"from {millilitres_text(every['rule_least_ml'])} mL, peak from {every['rule_least_peak']:.2f}"


def judged(analysis: Analysis, side: str) -> str:
    """ "positive" or "negative", of the Right or Left lung."""
    evaluations = analysis.group(f"LUNG_{side.upper()}").evaluations
    return next(one.value.meaning.lower() for one in evaluations if one.concept == own.DETECTION)


def _mm(length_mm: float) -> str:
    return f"{millimetres(length_mm):.1f} mm"


def _value(group: MeasurementGroup, name: str) -> float | None:
    return next((one.value for one in group.measurements if one.name == name), None)


def _site(group: MeasurementGroup) -> str:
    """The lobe of a finding, in words; how far it is beside the lungs, where it lies there."""
    if any(one.value == own.SEVERAL_LOBES for one in group.evaluations):
        return "several lobes"
    lobes = {lobe_segments.site(lobe): segment.title for lobe, segment in lobe_segments.SEGMENT_OF.items()}
    if group.site in lobes:
        return lobes[group.site].lower()
    side = "" if group.site.laterality is None else f"{group.site.laterality.meaning.lower()} "
    if any(one.concept == own.NEAREST_LOBE for one in group.evaluations):
        return f"{_mm(group['lung_gap_mm'])} beside {side}lung"
    return f"{side}lung, lobe unknown"


def _title(group: MeasurementGroup) -> str:
    return next(one.title for one in map(segments.segment, range(1, 11)) if one.name == group.name)


def _rows(analysis: Analysis, findings: tuple[MeasurementGroup, ...]) -> Iterator[TableRow]:
    for group in findings[:_MOST_ROWS]:
        yield TableRow(f"{_title(group)}, {_site(group)}", tuple(_cells(group)), total=group is findings[0])
    if not findings:
        yield TableRow("No finding", ("-",) * len(_CELLS))


def _cells(group: MeasurementGroup) -> Iterator[str]:
    for name in _CELLS:
        value = _value(group, name)
        if value is None:
            yield "-"
        elif name.endswith("_ml"):
            yield millilitres_text(value)
        elif name.endswith("_percent"):
            yield percent_text(value)
        else:
            yield f"{millimetres(value):.1f}"


def _note(analysis: Analysis, findings: tuple[MeasurementGroup, ...]) -> str:
    count = round(analysis.group(ALL)["finding_count"])
    if count > _MOST_ROWS:
        return f"{count - _MOST_ROWS} more candidates are in the structured report and in the segmentation."
    if not findings:
        return f"Nothing in the lung field is a finding: {rule_in_words(analysis.group(ALL))}."
    return "Suspected by an algorithm: no diagnosis, of whatever cause."


def _legend(findings: tuple[MeasurementGroup, ...]) -> Iterator[LegendEntry]:
    yield LegendEntry(swatch(GTV_MARK), segments.GTV.title)
    if len(findings) > 1:
        yield LegendEntry(swatch(OTHERS_MARK), "Candidate")


def _in_sentences(analysis: Analysis, findings: tuple[MeasurementGroup, ...]) -> Iterator[str]:
    for side in ("Right", "Left"):
        yield f"{side} lung: {judged(analysis, side)} for a suspected tumour."
    for group in findings:
        volume, longest, short = (_value(group, name) for name in _CELLS[:3])
        assert volume is not None and longest is not None and short is not None, "every finding has them"
        size = f"{millilitres_text(volume)} mL, {_mm(longest)} x {_mm(short)}"
        yield f"{_title(group)}: {_site(group)}, {size}, mean {group['mean_hu']:.0f} HU, suspected by an algorithm."
    if not findings:
        yield f"{NOTHING.capitalize()}. A finding is told {rule_in_words(analysis.group(ALL))}."
