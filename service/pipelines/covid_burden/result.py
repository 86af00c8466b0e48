"""Converts the measurements to the neutral result: coded groups, headline and summary."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.domain import codes
from service.domain.analysis import (
    Analysis,
    Headline,
    LabelArray,
    Measurement,
    MeasurementGroup,
    ModelUse,
    PipelineUse,
)
from service.domain.anatomy import Lobe
from service.domain.flags import Flag
from service.domain.rounding import percent_text
from service.pipelines.covid_burden import codes as own
from service.pipelines.covid_burden.flags import WITHIN_NORMAL
from service.pipelines.shared import lobe_segments, opacity_groups, opacity_segments
from service.pipelines.shared.flags import NOT_RELIABLE
from service.pipelines.shared.measure import Measurements
from service.pipelines.shared.reliability import Reliability
from service.pipelines.shared.reliability_measurements import measurements, why_not

NAME = "Pneumonia burden"


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Everything that was found. lobe_mask (`Lobe`), opacity_mask (`Opacity`): axes (slice, row, column) of the CT."""

    lobe_mask: LabelArray
    opacity_mask: LabelArray
    voxel_ml: float
    regions: Measurements
    reliability: Reliability

    @property
    def burden_percent(self) -> float:
        """Ground-glass plus high opacity, percent of both lungs, unrounded (paper C)."""
        return self.regions.lungs["total"].opacity_percent


def to_analysis(found: Measured, pipeline: PipelineUse, models: Sequence[ModelUse], flags: Sequence[Flag]) -> Analysis:
    """Returns the neutral result. Of one that cannot be relied on there are volumes, but no percentage."""
    given = NOT_RELIABLE not in flags
    return Analysis(
        pipeline=pipeline,
        label_maps=(lobe_segments.label_map(found.lobe_mask), opacity_segments.label_map(found.opacity_mask)),
        voxel_ml=found.voxel_ml,
        groups=tuple(_groups(found, given)),
        headline=_headline(found, flags),
        models=tuple(models),
        flags=tuple(flags),
        uncertainty=tuple(measurements(found.reliability)),
        limitations=(opacity_segments.NOT_TOLD_APART,),
        summary=tuple(opacity_groups.summary(found.regions, given)),
        drift={"burden_percent": found.burden_percent} if given else {},
    )


def _groups(found: Measured, given: bool) -> Iterator[MeasurementGroup]:
    burden = Measurement("burden_percent", own.BURDEN, found.burden_percent, codes.PERCENT)
    if given:
        yield MeasurementGroup("BURDEN", codes.LUNG, opacity_groups.LUNG, (burden,))
    yield from opacity_groups.lungs_and_kinds(found.regions, given)
    for lobe in Lobe:
        has_some = found.regions.lobes[lobe].volume_ml > 0.0
        yield opacity_groups.lobe(found.regions, lobe, percent=given and has_some)
    yield from opacity_groups.kinds(found.regions, given)


def _headline(found: Measured, flags: Sequence[Flag]) -> Headline:
    if NOT_RELIABLE in flags:
        return Headline(NAME, None, codes.PERCENT, words=why_not(flags))
    total = found.regions.lungs["total"]
    words = "no more than in normal lungs" if WITHIN_NORMAL in flags else "ground-glass plus high opacity, of any cause"
    remark = f"ground-glass {percent_text(_percent(total.ggo_ml, total.volume_ml))} %, "
    remark += f"high opacity {percent_text(_percent(total.high_opacity_ml, total.volume_ml))} %"
    return Headline(NAME, found.burden_percent, codes.PERCENT, words=words, remark=remark)


def _percent(part_ml: float, whole_ml: float) -> float:
    return 100.0 * part_ml / whole_ml if whole_ml else 0.0
