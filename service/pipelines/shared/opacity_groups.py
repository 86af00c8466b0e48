"""Measurements of lung opacities as coded groups: lungs, lobes and kinds of opacity."""

from collections.abc import Iterator

from service.domain import codes
from service.domain.analysis import Measurement, MeasurementGroup, Site
from service.domain.anatomy import Lobe
from service.domain.rounding import millilitres_text, percent_text
from service.pipelines.shared import lobe_segments, opacity_segments
from service.pipelines.shared.measure import Measurements, OpacityRegion, Region
from service.pipelines.shared.opacities import Opacity

LUNGS = {"right": codes.RIGHT, "left": codes.LEFT, "total": None}
"""Regions of lung by name, in the order to show them, with their laterality."""

LUNG = Site(codes.LUNG)


def lungs_and_kinds(regions: Measurements, percent: bool = True) -> Iterator[MeasurementGroup]:
    """About the study: each lung, both, and each kind of opacity in both. percent: whether parts are told, too."""
    for side, laterality in LUNGS.items():
        measurements = tuple(_region(regions.lungs[side], percent))
        yield MeasurementGroup(f"LUNG_{side.upper()}", codes.LUNG, Site(codes.LUNG, laterality), measurements)
    for kind, opacity in regions.opacities.items():
        segment = opacity_segments.SEGMENT_OF[kind]
        yield MeasurementGroup(f"TOTAL_{kind.name}", segment.type, LUNG, tuple(_opacity(opacity, percent)))


def lobe(regions: Measurements, of: Lobe, more: tuple[Measurement, ...] = (), percent: bool = True) -> MeasurementGroup:
    """About the segment of a lobe. more: what a pipeline adds."""
    segment, region = lobe_segments.SEGMENT_OF[of], regions.lobes[of]
    measurements = (*_region(region, percent), *_mean(region.mean_hu), *more)
    return MeasurementGroup(
        of.name, segment.type, lobe_segments.site(of), measurements, category=segment.category, segment=segment.name
    )


def kinds(regions: Measurements, percent: bool = True) -> Iterator[MeasurementGroup]:
    """About the segment of each kind of opacity."""
    for kind, opacity in regions.opacities.items():
        segment = opacity_segments.SEGMENT_OF[kind]
        measurements = (*_opacity(opacity, percent), *_mean(opacity.mean_hu))
        yield MeasurementGroup(
            segment.name, segment.type, LUNG, measurements, category=segment.category, segment=segment.name
        )


def summary(regions: Measurements, percent: bool = True) -> Iterator[str]:
    """In sentences."""
    yield f"{opacity_segments.NOT_TOLD_APART.meaning}."
    total = regions.lungs["total"]
    volume, opacity = millilitres_text(total.volume_ml), millilitres_text(total.opacity_ml)
    part = f" ({percent_text(total.opacity_percent)} %)" if percent else ""
    yield f"Both lungs: {volume} mL, of it opacity {opacity} mL{part}."
    for kind, region in regions.opacities.items():
        yield f"{opacity_segments.SEGMENT_OF[kind].title} {millilitres_text(region.volume_ml)} mL."


def _region(region: Region, percent: bool) -> Iterator[Measurement]:
    yield Measurement("volume_ml", codes.VOLUME, region.volume_ml, codes.MILLILITRE)
    yield Measurement("opacity_ml", opacity_segments.OPACITY_VOLUME, region.opacity_ml, codes.MILLILITRE)
    if percent:
        yield Measurement("opacity_percent", opacity_segments.PERCENT_AFFECTED, region.opacity_percent, codes.PERCENT)
    for kind, volume_ml in ((Opacity.GROUND_GLASS, region.ggo_ml), (Opacity.HIGH_OPACITY, region.high_opacity_ml)):
        yield Measurement(f"{kind.name.lower()}_ml", opacity_segments.VOLUME_OF[kind], volume_ml, codes.MILLILITRE)


def _opacity(region: OpacityRegion, percent: bool) -> Iterator[Measurement]:
    yield Measurement("volume_ml", codes.VOLUME, region.volume_ml, codes.MILLILITRE)
    if percent:
        yield Measurement("percent_of_lungs", opacity_segments.PERCENT_AFFECTED, region.percent_of_lungs, codes.PERCENT)


def _mean(mean_hu: float | None) -> Iterator[Measurement]:
    if mean_hu is not None:
        yield Measurement("mean_hu", codes.ATTENUATION, mean_hu, codes.HOUNSFIELD, derivation=codes.MEAN)
