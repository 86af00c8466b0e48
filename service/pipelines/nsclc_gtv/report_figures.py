"""Figures of the report: the slice of the longest diameter with both axes, and two planes at right angles to it."""

import numpy as np
from numpy.typing import NDArray

from service.domain.analysis import Analysis, LabelArray, MeasurementGroup
from service.domain.ct import CT
from service.domain.ports import Step
from service.domain.report import Figure
from service.imaging.figures import Scene
from service.imaging.figures_of_finding import across, axial_with_lines
from service.imaging.render import Mark
from service.pipelines.nsclc_gtv import segments
from service.pipelines.nsclc_gtv.result import NOTHING
from service.pipelines.shared import lobe_segments

_OTHERS = 2
"""Label of all findings but the largest, in the figures."""

GTV_MARK = Mark(segments.GTV.label, segments.GTV.rgb, 0.15)
OTHERS_MARK = Mark(_OTHERS, segments.segment(2).rgb, 0.20, hatched=True)
AXES = {"longest_diameter_mm": (255, 235, 60), "perpendicular_diameter_mm": (90, 230, 255)}
"""Colours of the lines of the axial figure."""

_LUNG_TISSUE_HU = (-950, -400)
"""What is cropped to where lungs were not measured."""


def figures(
    ct: CT, analysis: Analysis, findings: tuple[MeasurementGroup, ...], step: Step
) -> tuple[tuple[Figure, Figure], tuple[Figure, Figure]]:
    """Two large and two small figures. findings: groups of those that are told. step: called before each picture."""
    scene = Scene.of(ct, _marked(ct, analysis), _lungs(ct, analysis), (GTV_MARK, OTHERS_MARK), "finding")
    lines = []
    if findings:
        lines = [(one.line, AXES[one.name]) for one in findings[0].measurements if one.name in AXES]
    step()
    large = axial_with_lines(scene, lines, "GTV-1 and its axes" if findings else NOTHING)
    step()
    coronal = across(scene, 1, GTV_MARK.label, "most of GTV-1")
    step()
    return large, (coronal, across(scene, 2, GTV_MARK.label, "most of GTV-1"))


def _marked(ct: CT, analysis: Analysis) -> LabelArray:
    """Labels of the figures: 1 GTV-1, `_OTHERS` all others; axes (slice, row, column)."""
    maps = {one.name: one.labels for one in analysis.label_maps}
    found: NDArray[np.uint8] = maps.get(segments.KIND.name, np.zeros(ct.volume.spatial_shape, np.uint8))
    return np.minimum(found, np.uint8(_OTHERS))


def _lungs(ct: CT, analysis: Analysis) -> LabelArray:
    """Lungs, or all that is as thin as lung where they were not measured; axes (slice, row, column)."""
    maps = {one.name: one.labels for one in analysis.label_maps}
    if lobe_segments.KIND.name in maps:
        return maps[lobe_segments.KIND.name]
    low, high = _LUNG_TISSUE_HU
    return ((ct.volume.array > low) & (ct.volume.array < high)).astype(np.uint8)
