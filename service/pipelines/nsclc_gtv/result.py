"""Converts what was found to the neutral result: coded groups, label maps, headline and summary."""

from collections.abc import Iterator, Sequence

from service.domain import codes
from service.domain.analysis import Analysis, Headline, LabelMap, ModelUse, PipelineUse
from service.domain.anatomy import Lobe
from service.domain.flags import Flag
from service.domain.rounding import millilitres_text, millimetres
from service.pipelines.nsclc_gtv import codes as own
from service.pipelines.nsclc_gtv import segments
from service.pipelines.nsclc_gtv.found import Found
from service.pipelines.nsclc_gtv.groups import groups
from service.pipelines.nsclc_gtv.measure import Measured
from service.pipelines.shared import lobe_segments

NAME = "Suspected lung tumour (GTV-1)"
NOTHING = "no tumour found"


def to_analysis(found: Found, pipeline: PipelineUse, models: Sequence[ModelUse], flags: Sequence[Flag]) -> Analysis:
    """Returns the neutral result. Without a finding it has no label map of tumours at all."""
    return Analysis(
        pipeline=pipeline,
        label_maps=tuple(_label_maps(found)),
        voxel_ml=found.voxel_ml,
        groups=tuple(groups(found)),
        headline=_headline(found),
        models=tuple(models),
        flags=tuple(flags),
        limitations=(own.NOT_DIAGNOSED, own.NOT_VALIDATED),
        summary=tuple(_summary(found)),
        drift=dict(_drift(found)),
    )


def _label_maps(found: Found) -> Iterator[LabelMap]:
    if found.lobe_mask is not None:
        yield lobe_segments.label_map(found.lobe_mask)
    if found.findings.every:
        present = dict.fromkeys(one.segment for one in found.findings.every)
        yield segments.label_map(found.findings.labels, tuple(present))


def _headline(found: Found) -> Headline:
    """The volume of GTV-1; 0 mL where nothing was found, which the words say."""
    if not found.measured:
        return Headline(NAME, 0.0, codes.MILLILITRE, words=NOTHING, remark="this is no all-clear")
    gtv = found.measured[0]
    count = len(found.findings.every) - 1
    others = "" if not count else f"; {count} other {'candidate' if count == 1 else 'candidates'}"
    words = f"longest axial diameter {mm(gtv.longest.length_mm)}, {where(gtv)}"
    return Headline(NAME, gtv.volume_ml, codes.MILLILITRE, words=words, remark=f"suspected by an algorithm{others}")


def mm(length_mm: float) -> str:
    """A length as printed."""
    return f"{millimetres(length_mm):.1f} mm"


def where(one: Measured) -> str:
    """The lobes of a finding, in words; its side where the lobe is not known."""
    if one.side_doubtful:
        return "side in doubt, lobe unknown"
    if one.place is None:
        return f"{one.side.lower() if one.side else 'both sides'} of the spine, lobe unknown"
    if one.place.beside:
        return f"beside the lung, nearest: {_title(one.place.lobe)}, gap {mm(one.place.gap_mm)}"
    names = [_title(lobe) for lobe in (one.place.lobe, *one.place.others)]
    return names[0] if len(names) == 1 else f"several lobes: {', '.join(names)}"


def _title(lobe: Lobe) -> str:
    return lobe_segments.SEGMENT_OF[lobe].title.lower()


def _summary(found: Found) -> Iterator[str]:
    yield f"{own.NOT_DIAGNOSED.meaning}."
    if not found.measured:
        yield f"No tumour found: nothing in the lung field is a finding by the rule. {found.rule.sentence}"
    for one in found.measured:
        yield finding_sentence(one)
    if rest := found.findings.rest:
        volume = millilitres_text(sum(one.volume_ml for one in rest))
        yield f"More candidates: {len(rest)}, together {volume} mL; in the segmentation as one segment."


def finding_sentence(one: Measured) -> str:
    """One finding in a sentence."""
    across = f"{mm(one.longest.length_mm)} x {mm(one.across.length_mm)}"
    return (
        f"{one.title}: {millilitres_text(one.volume_ml)} mL, {across} in the axial plane ({one.image}), {where(one)}."
    )


def _drift(found: Found) -> Iterator[tuple[str, float]]:
    yield "finding_count", float(len(found.findings.every))
    if found.measured:
        yield "gtv_ml", found.measured[0].volume_ml
