"""What the report prints."""

from collections.abc import Iterator

from emphysema_index import codes as own
from service.domain.analysis import Analysis, MeasurementGroup
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.domain.ports import Step
from service.domain.report import Bar, Card, Column, LegendEntry, Line, ReportBody, Table, TableRow
from service.domain.rounding import millilitres_text, percent_text
from service.imaging.figures import SCALE, Scene, axial, coronal, front
from service.imaging.render import Mark
from service.imaging.render_slice import swatch
from service.pipelines.shared import lobe_segments

MARKS = (Mark(own.EMPHYSEMA.label, own.EMPHYSEMA.rgb, 0.4),)
_COLUMNS = (Column("Lung mL", 0.45), Column("Below -950 HU mL", 0.7), Column("Index %", 0.845))


def report_body(ct: CT, analysis: Analysis, step: Step) -> ReportBody:
    """step: called before each picture."""
    emphysema, lobes = (analysis.label_map(kind.name).labels for kind in (own.KIND, lobe_segments.KIND))
    scene = Scene.of(ct, emphysema, lobes, MARKS, "emphysema")
    step()
    large = axial(scene)
    step()
    small = (coronal(scene), front(scene))
    total = analysis.group("LUNGS")
    return ReportBody(
        title="Chest CT: emphysema index",
        cards=(_index(total), _volume(total), Card("Validation", "none", lines=(Line("A toy of the tests."),))),
        table=Table("Region", _COLUMNS, tuple(_rows(analysis)), (0.862, 0.922), "Percentages are truncated."),
        large=large,
        small=small,
        legend=(LegendEntry(swatch(MARKS[0]), own.EMPHYSEMA.title),),
        scale=SCALE,
        notes_heading="Reading",
        notes=("Index: lung volume below -950 HU in percent of the region.",),
        findings=tuple(f"{row.name}: {row.cells[2]} % below -950 HU." for row in _rows(analysis)),
    )


def _index(total: MeasurementGroup) -> Card:
    percent = total["emphysema_percent"]
    return Card("Emphysema index", f"{percent_text(percent)} %", bar=Bar(percent / 100))


def _volume(total: MeasurementGroup) -> Card:
    return Card("Lung volume", f"{millilitres_text(total['volume_ml'])} mL")


def _rows(analysis: Analysis) -> Iterator[TableRow]:
    for lobe in Lobe:
        yield _row(lobe_segments.SEGMENT_OF[lobe].title, analysis.group(lobe.name))
    yield _row("Both lungs", analysis.group("LUNGS"), total=True)


def _row(name: str, group: MeasurementGroup, total: bool = False) -> TableRow:
    percent = group["emphysema_percent"]
    volumes = (millilitres_text(group[volume]) for volume in ("volume_ml", "below_950_ml"))
    return TableRow(name, (*volumes, percent_text(percent)), percent / 100, total)
