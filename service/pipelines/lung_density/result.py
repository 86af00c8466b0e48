"""Converts the measurements to the neutral result: coded groups, headline and summary."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from service.domain import codes
from service.domain.analysis import (
    Analysis,
    Evaluation,
    Headline,
    LabelArray,
    LabelMap,
    Measurement,
    MeasurementGroup,
    ModelUse,
    PipelineUse,
    Segment,
    Site,
)
from service.domain.anatomy import Lobe
from service.domain.flags import Flag
from service.domain.rounding import percent_text, rounded
from service.pipelines.lung_density import codes as own
from service.pipelines.lung_density import segments
from service.pipelines.lung_density.capacity import Capacity, adjusted
from service.pipelines.lung_density.flags import not_comparable
from service.pipelines.lung_density.measure import Attenuation, Measure, Measurements, Region
from service.pipelines.lung_density.trachea import TracheaAir
from service.pipelines.shared import lobe_segments
from service.pipelines.shared.opacity_groups import LUNG, LUNGS

_MEASURE_OF = {segments.LAA.name: Measure.LAA, segments.HAA.name: Measure.HAA}
"""What the volume of an area is, as a part of the lungs."""

NAME = "Low attenuation area (LAA-950)"


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Everything that was found. lobe_mask (`Lobe`): axes (slice, row, column) of the CT. areas: of attenuation.

    air: of the trachea; None where it was not found.
    """

    lobe_mask: LabelArray
    areas: LabelMap
    voxel_ml: float
    regions: Measurements
    capacity: Capacity
    air: TracheaAir | None

    @property
    def part_of_capacity(self) -> float | None:
        """Volume of both lungs / predicted capacity; None where none is predicted."""
        predicted_ml = self.capacity.predicted_ml
        return None if predicted_ml is None else self.regions.total.volume_ml / predicted_ml


def to_analysis(found: Measured, pipeline: PipelineUse, models: Sequence[ModelUse], flags: Sequence[Flag]) -> Analysis:
    """Returns the neutral result. What is not comparable with other CTs is told, and marked in every group that has it;
    it is not watched over many studies. ValueError without lungs: such a CT is refused before."""
    of, doubted = found.regions.total.attenuation, not_comparable(flags)
    if of is None:
        raise ValueError("there are no lungs")
    return Analysis(
        pipeline=pipeline,
        label_maps=(lobe_segments.label_map(found.lobe_mask), found.areas),
        voxel_ml=found.voxel_ml,
        groups=tuple(_groups(found, doubted)),
        headline=_headline(of),
        models=tuple(models),
        flags=tuple(flags),
        uncertainty=tuple(_uncertainty(found)),
        limitations=(own.NOT_CALIBRATED,),
        summary=tuple(_summary(of, doubted)),
        drift=dict(_drift(of, doubted)),
    )


def _groups(found: Measured, doubted: frozenset[Measure]) -> Iterator[MeasurementGroup]:
    for side, laterality in LUNGS.items():
        region = found.regions.lungs[side]
        measurements = (*_region(found, region), *(_capacity(found) if side == "total" else ()))
        judged = tuple(_judged(region, doubted))
        yield MeasurementGroup(f"LUNG_{side.upper()}", codes.LUNG, Site(codes.LUNG, laterality), measurements, judged)
    for lobe in Lobe:
        segment, region = lobe_segments.SEGMENT_OF[lobe], found.regions.lobes[lobe]
        yield _about(segment, lobe_segments.site(lobe), tuple(_region(found, region)), tuple(_judged(region, doubted)))
    for area in found.areas.segments:
        voxels = sum(int(np.count_nonzero(plane == area.label)) for plane in found.areas.labels)
        measure = _MEASURE_OF[area.name]
        judged = tuple(_judged(found.regions.total, doubted & {measure}))
        yield _about(area, LUNG, (_volume(voxels * found.voxel_ml),), judged)


def _about(
    segment: Segment, site: Site, measurements: tuple[Measurement, ...], judged: tuple[Evaluation, ...] = ()
) -> MeasurementGroup:
    """The group about a segment."""
    return MeasurementGroup(
        segment.name, segment.type, site, measurements, judged, category=segment.category, segment=segment.name
    )


def _region(found: Measured, region: Region) -> Iterator[Measurement]:
    """Volume; and the densities, of a region that is not empty."""
    yield _volume(region.volume_ml)
    if (of := region.attenuation) is None:
        return
    yield Measurement("laa_950_percent", own.LAA, of.laa_percent, codes.PERCENT)
    yield Measurement("perc15_hu", own.PERC15, of.perc15_hu, codes.HOUNSFIELD)
    if found.capacity.predicted_ml is not None:
        density = adjusted(of.pd15_g_per_l, found.regions.total.volume_ml, found.capacity.predicted_ml)
        yield Measurement("pd15_adjusted_g_per_l", own.PD15_ADJUSTED, density, codes.GRAM_PER_LITRE)
    yield Measurement("mean_hu", codes.ATTENUATION, of.mean_hu, codes.HOUNSFIELD, derivation=codes.MEAN)
    yield Measurement("haa_percent", own.HAA, of.haa_percent, codes.PERCENT)


def _volume(volume_ml: float) -> Measurement:
    return Measurement("volume_ml", codes.VOLUME, volume_ml, codes.MILLILITRE)


def _capacity(found: Measured) -> Iterator[Measurement]:
    if (part := found.part_of_capacity) is not None:
        yield Measurement("part_of_predicted_capacity", own.OF_CAPACITY, part, codes.UNITY)


def _judged(region: Region, doubted: Collection[Measure]) -> Iterator[Evaluation]:
    if region.attenuation is not None:
        for measure in Measure:
            if measure in doubted:
                yield Evaluation(own.COMPARABILITY[measure], own.NOT_COMPARABLE)


def _uncertainty(found: Measured) -> Iterator[Measurement]:
    if found.air is not None:
        yield Measurement(
            "trachea_air_hu", own.TRACHEA_AIR, found.air.median_hu, codes.HOUNSFIELD, derivation=codes.MEDIAN
        )
        yield Measurement("noise_hu", own.NOISE, found.air.noise_hu, codes.HOUNSFIELD)


def _headline(of: Attenuation) -> Headline:
    remark = f"Perc15 {_hu(of.perc15_hu)}, mean {_hu(of.mean_hu)}"
    return Headline(NAME, of.laa_percent, codes.PERCENT, words="of both lungs, below -950 HU", remark=remark)


def _hu(value: float) -> str:
    return f"{rounded(value, codes.HOUNSFIELD):g} HU"


def _summary(of: Attenuation, doubted: Collection[Measure]) -> Iterator[str]:
    yield f"{own.NOT_CALIBRATED.meaning}."
    low, high = percent_text(of.laa_percent), percent_text(of.haa_percent)
    yield f"Both lungs: {low} % below -950 HU, {high} % from -600 to -250 HU."
    if doubted:
        yield f"{own.NOT_COMPARABLE.meaning}: {', '.join(one for one in Measure if one in doubted)}."


def _drift(of: Attenuation, doubted: Collection[Measure]) -> Iterator[tuple[str, float]]:
    """Numbers that in patients are well above 0, as a limit of their drift needs them (docs/decisions/0147)."""
    if Measure.PERC15 not in doubted:
        yield "pd15_g_per_l", of.pd15_g_per_l
    if Measure.HAA not in doubted:
        yield "haa_percent", of.haa_percent
