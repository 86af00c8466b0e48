"""What the reports of lung opacities have in common: pictures, legend, and the cells of a region."""

from collections.abc import Iterator

from service.domain.analysis import Analysis, MeasurementGroup
from service.domain.ct import CT
from service.domain.ports import Step
from service.domain.report import Bar, Card, Figure, LegendEntry, Line
from service.domain.rounding import millilitres_text, percent_text
from service.imaging.figures import Scene, axial, coronal, front
from service.imaging.render import Mark
from service.imaging.render_slice import swatch
from service.pipelines.shared import lobe_segments, opacity_segments
from service.pipelines.shared.opacities import Opacity

MARKS = (
    Mark(Opacity.GROUND_GLASS, opacity_segments.SEGMENT_OF[Opacity.GROUND_GLASS].rgb, 0.30),
    Mark(
        Opacity.HIGH_OPACITY,
        opacity_segments.SEGMENT_OF[Opacity.HIGH_OPACITY].rgb,
        0.35,
        hatched=True,
        shade=0.62,
        background=190,
    ),
)

VOLUMES = {
    "volume_ml": "Lung mL",
    "opacity_ml": "Opacity mL",
    "ground_glass_ml": "Ground-glass mL",
    "high_opacity_ml": "High opacity mL",
}
"""Titles of the columns of volumes, by measurement."""

DEFINITION = "Opacity is ground-glass plus high opacity, of any cause."

Pair = tuple[Figure, Figure]


def figures(ct: CT, analysis: Analysis, step: Step) -> tuple[Pair, Pair]:
    """Two large figures and two small ones. step: called before each picture."""
    kinds = (opacity_segments.KIND, lobe_segments.KIND)
    opacities, lobes = (analysis.label_map(kind.name).labels for kind in kinds)
    scene = Scene.of(ct, opacities, lobes, MARKS, "opacity")
    step()
    large = axial(scene)
    step()
    middle = coronal(scene)
    step()
    small = (middle, front(scene))
    step()
    return large, small


def legend() -> tuple[LegendEntry, ...]:
    """One entry for each kind of opacity."""
    return tuple(LegendEntry(swatch(mark), opacity_segments.SEGMENT_OF[Opacity(mark.label)].title) for mark in MARKS)


def extent(analysis: Analysis) -> Card:
    """The affected part of both lungs; its volume where the part is withheld."""
    total = analysis.group("LUNG_TOTAL")
    part = percent(total)
    kinds = f"Ground-glass {ml(total, 'ground_glass_ml')} mL · high opacity {ml(total, 'high_opacity_ml')} mL"
    lines = (Line(kinds), Line(f"{opacity_segments.NOT_TOLD_APART.meaning}.", 7.5, wrapped=True))
    volumes = f"{ml(total, 'opacity_ml')} of {ml(total, 'volume_ml')} mL"
    if part is None:
        return Card("Opacity in both lungs", f"{ml(total, 'opacity_ml')} mL", volumes, lines=lines)
    return Card("Affected part of both lungs", f"{percent_text(part)} %", volumes, Bar(part / 100), lines)


def cells(group: MeasurementGroup) -> Iterator[str]:
    """Volumes of a region, then its affected part in percent."""
    for volume in VOLUMES:
        yield ml(group, volume)
    part = percent(group)
    yield percent_text(part) if part is not None and group["volume_ml"] else "-"


def in_words(group: MeasurementGroup) -> str:
    """How much of a region is affected."""
    part = percent(group)
    told = "" if part is None else f" ({percent_text(part)} %)"
    return f"{ml(group, 'volume_ml')} mL, of it opacity {ml(group, 'opacity_ml')} mL{told}"


def percent(group: MeasurementGroup) -> float | None:
    """The affected part of a region; None where it is withheld."""
    return next((one.value for one in group.measurements if one.name == "opacity_percent"), None)


def ml(group: MeasurementGroup, name: str) -> str:
    return millilitres_text(group[name])
