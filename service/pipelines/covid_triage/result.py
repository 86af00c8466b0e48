"""Converts what was found to the neutral result: coded groups, headline, classification, heat map and rank."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.domain import codes
from service.domain.analysis import (
    Analysis,
    Classification,
    ClassProbability,
    Headline,
    HeatMap,
    LabelArray,
    Measurement,
    MeasurementGroup,
    ModelUse,
    PipelineUse,
    Site,
)
from service.domain.anatomy import Lobe
from service.domain.flags import Flag
from service.domain.rounding import decimals, millilitres_text, percent_text, ratio
from service.pipelines.covid_triage import codes as own
from service.pipelines.covid_triage import segments
from service.pipelines.covid_triage.flags import DENSE_LUNG, LESIONS_AS_NORMAL
from service.pipelines.covid_triage.infection import Classified
from service.pipelines.covid_triage.lesions import Lesion, Lesions
from service.pipelines.covid_triage.model_roles import Infection
from service.pipelines.covid_triage.rank import WITHHELD, rank
from service.pipelines.shared import lobe_segments, opacity_segments
from service.pipelines.shared.measure import Measurements, Region
from service.pipelines.shared.opacities import Opacity
from service.pipelines.shared.opacity_groups import LUNG, LUNGS
from service.pipelines.shared.reliability_measurements import why_not

BURDEN, INFECTION = "Lung lesion burden", "Infection probability"
CLASSES = "INFECTION"
MOST_TOLD = 20
"""Lesions that are told one by one, the largest first."""

EXPERIMENTAL = "experimental, not validated"


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Everything that was found. lobe_mask (`Lobe`): axes (slice, row, column) of the CT. regions: of lesions.

    has_classifier: whether one is installed. classified: what it says; None without one, or without a lesion.
    """

    lobe_mask: LabelArray
    lesions: Lesions
    regions: Measurements
    voxel_ml: float
    has_classifier: bool
    classified: Classified | None

    @property
    def lesion_percent(self) -> float:
        """Lesions in percent of both lungs, unrounded."""
        return self.regions.lungs["total"].opacity_percent

    @property
    def rank(self) -> float:
        """On the worklist, 0 to 1; 0 without a lesion, whatever is installed."""
        return rank(None if self.classified is None else self.classified.decides.infection, self.lesion_percent)


def to_analysis(found: Found, pipeline: PipelineUse, models: Sequence[ModelUse], flags: Sequence[Flag]) -> Analysis:
    """Returns the neutral result. Without a classifier no class is named anywhere in it.

    Where lung is dense there are volumes and a count, but no percentage and no probability, nor a rank that tells one.
    """
    given = DENSE_LUNG not in flags
    return Analysis(
        pipeline=pipeline,
        label_maps=(lobe_segments.label_map(found.lobe_mask), segments.label_map(found.lesions.mask)),
        voxel_ml=found.voxel_ml,
        groups=tuple(_groups(found, given)),
        headline=_headline(found, flags),
        models=tuple(models),
        flags=tuple(flags),
        classification=_classification(found, given) if found.has_classifier else None,
        limitations=(opacity_segments.NOT_TOLD_APART,),
        summary=tuple(_summary(found, given)),
        drift=dict(_drift(found, given)),
        explanations=tuple(_explanations(found.classified)) if given else (),
        rank=found.rank if given else _rank_without_number(found),
    )


def _rank_without_number(found: Found) -> float:
    return WITHHELD if found.lesions.every else 0.0


def _drift(found: Found, given: bool) -> Iterator[tuple[str, float]]:
    if given:
        yield "lesion_percent", found.lesion_percent
    yield "lesion_count", float(len(found.lesions.every))


def _groups(found: Found, given: bool) -> Iterator[MeasurementGroup]:
    """given: whether percentages and probabilities are."""
    yield MeasurementGroup("LESIONS", segments.LESION.type, LUNG, tuple(_all(found, given)))
    for side, laterality in LUNGS.items():
        measured = tuple(_region(found.regions.lungs[side], given))
        yield MeasurementGroup(f"LUNG_{side.upper()}", codes.LUNG, Site(codes.LUNG, laterality), measured)
    infection: dict[int, float] = {}
    if given and found.classified is not None:
        infection = {one.lesion.number: one.infection for one in found.classified.answers}
    for lesion in found.lesions.every[:MOST_TOLD]:
        measured = tuple(_lesion(lesion, infection.get(lesion.number)))
        yield MeasurementGroup(lesion.name, segments.LESION.type, lobe_segments.site(lesion.lobe), measured)
    for lobe in Lobe:
        segment, measured = lobe_segments.SEGMENT_OF[lobe], tuple(_region(found.regions.lobes[lobe], given))
        site = lobe_segments.site(lobe)
        yield MeasurementGroup(lobe.name, segment.type, site, measured, category=segment.category, segment=segment.name)
    every, total = segments.LESION, found.regions.lungs["total"]
    measured = (Measurement("volume_ml", codes.VOLUME, total.opacity_ml, codes.MILLILITRE),)
    yield MeasurementGroup(every.name, every.type, LUNG, measured, category=every.category, segment=every.name)


def _all(found: Found, given: bool) -> Iterator[Measurement]:
    total, every = found.regions.lungs["total"], found.lesions.every
    yield Measurement("lesion_ml", own.LESION_VOLUME, total.opacity_ml, codes.MILLILITRE)
    if given:
        yield Measurement("lesion_percent", own.LESION_PERCENT, total.opacity_percent, codes.PERCENT)
    yield Measurement("lesion_count", own.LESION_COUNT, float(len(every)), codes.UNITY)
    if every:
        yield Measurement("largest_ml", own.LARGEST_LESION, every[0].volume_ml, codes.MILLILITRE)
    for kind, volume_ml in ((Opacity.GROUND_GLASS, total.ggo_ml), (Opacity.HIGH_OPACITY, total.high_opacity_ml)):
        yield Measurement(f"{kind.name.lower()}_ml", opacity_segments.VOLUME_OF[kind], volume_ml, codes.MILLILITRE)


def _region(region: Region, given: bool) -> Iterator[Measurement]:
    yield Measurement("volume_ml", codes.VOLUME, region.volume_ml, codes.MILLILITRE)
    yield Measurement("lesion_ml", own.LESION_VOLUME, region.opacity_ml, codes.MILLILITRE)
    if given and region.volume_ml:
        yield Measurement("lesion_percent", own.LESION_PERCENT, region.opacity_percent, codes.PERCENT)


def _lesion(lesion: Lesion, infection: float | None) -> Iterator[Measurement]:
    yield Measurement("volume_ml", codes.VOLUME, lesion.volume_ml, codes.MILLILITRE)
    yield Measurement("mean_hu", codes.ATTENUATION, lesion.mean_hu, codes.HOUNSFIELD, derivation=codes.MEAN)
    if infection is not None:
        yield Measurement("infection_probability", own.INFECTION, infection, codes.UNITY)


def _headline(found: Found, flags: Sequence[Flag]) -> Headline:
    count = len(found.lesions.every)
    burden = f"lesion burden {percent_text(found.lesion_percent)} %"
    if DENSE_LUNG in flags:
        name, unit = (INFECTION, codes.UNITY) if found.has_classifier else (BURDEN, codes.PERCENT)
        return Headline(name, None, unit, words=why_not(flags, DENSE_LUNG))
    if found.has_classifier and found.classified is None:
        return Headline(INFECTION, None, codes.UNITY, words="no lesion found, nothing to classify")
    if found.classified is not None:
        decides = found.classified.decides
        words = f"most likely {decides.decision}; {EXPERIMENTAL}"
        return Headline(INFECTION, decides.infection, codes.UNITY, words=words, remark=burden)
    if not count:
        return Headline(BURDEN, 0.0, codes.PERCENT, words="no lesion found")
    words = "no more than in normal lungs" if LESIONS_AS_NORMAL in flags else "lung lesions found, of any cause"
    remark = f"{count} {'lesion' if count == 1 else 'lesions'}"
    return Headline(BURDEN, found.lesion_percent, codes.PERCENT, words=words, remark=remark)


def _classification(found: Found, given: bool) -> Classification:
    """The probabilities of the lesion that decides for the CT."""
    finding, concept = own.LESION_CLASS, codes.CLASSIFICATION
    if not given or found.classified is None:
        absent = own.NO_LESION if given else own.DENSE_LUNG
        return Classification(CLASSES, finding, concept, absent=absent, experimental=True)
    decides = found.classified.decides
    probabilities = tuple(
        ClassProbability(codes.class_probability(one), one.value, decides.probabilities[one]) for one in Infection
    )
    return Classification(
        CLASSES, finding, concept, probabilities, decision=own.CLASS_OF[decides.decision], experimental=True
    )


def _explanations(classified: Classified | None) -> Iterator[HeatMap]:
    if classified is not None and classified.heat.any():
        decides = classified.decides
        title = f"What spoke for {decides.decision} in {_of(decides.lesion)}"
        yield HeatMap("infection", title, CLASSES, classified.heat)


def _summary(found: Found, given: bool) -> Iterator[str]:
    yield f"{opacity_segments.NOT_TOLD_APART.meaning}."
    every, total = found.lesions.every, found.regions.lungs["total"]
    if not every:
        yield "No lesion found."
        return
    part = f", {percent_text(total.opacity_percent)} % of the lungs" if given else ""
    yield (
        f"Lesions found: {len(every)}, together {millilitres_text(total.opacity_ml)} mL{part}; "
        f"the largest {millilitres_text(every[0].volume_ml)} mL."
    )
    if given and found.classified is not None:
        decides = found.classified.decides
        yield f"Infection probability {decimals(ratio(decides.infection))}, of {_of(decides.lesion)}; {EXPERIMENTAL}."


def _of(lesion: Lesion) -> str:
    return f"lesion {lesion.number}"
