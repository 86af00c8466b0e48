"""Which warnings findings and the searched field raise, and of which finding each is true."""

from collections.abc import Iterable, Iterator

from service.domain.ct import CT
from service.domain.flags import Flag
from service.domain.rounding import millilitres_text, percent_text
from service.imaging.attributes import optional_number
from service.pipelines.nsclc_gtv import flags as warnings
from service.pipelines.nsclc_gtv.cut_off import at_edge, cut_parts
from service.pipelines.nsclc_gtv.field_answers import FieldAnswers
from service.pipelines.nsclc_gtv.found import Found
from service.pipelines.nsclc_gtv.measure import Measured
from service.pipelines.nsclc_gtv.result import where

BEYOND_MM = 150.0
"""A CT of the chest reaches so far beyond the lungs at most: to the chin, and to the kidneys."""

CUT_PART = 0.02
"""Part of the border of an outline that lies on that of the searched field, from which on it is told."""

AS_LARGE = 0.5
"""Part of the volume of the largest finding from which on a candidate is told to be nearly as large."""

LEFT_OUT_TOLD_ML = 0.1
"""Parts that are no finding are counted in every result; from this volume of all of them on a reader is warned."""

THICK_MM = 6.0
"""The network was trained on slices up to about this thickness; thicker ones are analysed, and told."""


def raised_by(ct: CT, found: Found, answers: FieldAnswers) -> Iterator[Flag]:
    """Everything that the reader has to know about the findings and about where was searched."""
    yield from _of_the_ct(ct, answers)
    yield from _cut_off(ct, found, answers)
    yield from _of_places(found)
    yield from _of_volumes(found)


def _of_the_ct(ct: CT, answers: FieldAnswers) -> Iterator[Flag]:
    first = ct.frame_numbers[0] if ct.frame_numbers else 1
    slice_mm = max(float(ct.volume.spacing[0]), optional_number(ct.headers[0], "SliceThickness", first) or 0.0)
    if slice_mm > THICK_MM:
        yield warnings.THICKER_THAN_TRAINED.because(f"{slice_mm:.1f} mm; trained up to {THICK_MM:g} mm.")
    above_mm, below_mm = answers.beyond_mm
    if max(above_mm, below_mm) > BEYOND_MM:
        yield warnings.BEYOND_CHEST.because(f"{above_mm:.0f} mm above it, {below_mm:.0f} mm below it were left out.")


def _cut_off(ct: CT, found: Found, answers: FieldAnswers) -> Iterator[Flag]:
    """By the edge of the images, and by that of the searched field: each finding by its title, others as one."""
    if cut := at_edge(ct, found.findings):
        yield warnings.TUMOUR_AT_EDGE.because(f"{', '.join(_each_once(cut))}.")
    parts = {title: part for title, part in cut_parts(ct, found.findings, answers).items() if part >= CUT_PART}
    if parts:
        told = (f"{title}: {percent_text(100 * part)} % of its border" for title, part in parts.items())
        yield warnings.FIELD_CUTS_TUMOUR.because(f"{'; '.join(told)}.")


def _each_once(titles: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys(titles)


def _of_places(found: Found) -> Iterator[Flag]:
    if found.lobe_mask is None:
        return
    if doubtful := [one.title for one in found.measured if one.side_doubtful]:
        yield warnings.SIDE_DOUBTFUL.because(f"{', '.join(doubtful)}.")
    if outside := [one for one in found.measured if not one.side_doubtful and _is_outside(one)]:
        yield warnings.OUTSIDE_LUNGS.because(f"{'; '.join(f'{one.title}: {where(one)}' for one in outside)}.")


def _is_outside(one: Measured) -> bool:
    return one.place is None or one.place.beside


def _of_volumes(found: Found) -> Iterator[Flag]:
    told, findings = found.measured, found.findings
    if len(told) > 1:
        yield warnings.CANDIDATES.because(f"{len(findings.every) - 1} beside GTV-1.")
        if told[1].volume_ml >= AS_LARGE * told[0].volume_ml:
            both = " and ".join(f"{millilitres_text(one.volume_ml)} mL" for one in told[:2])
            yield warnings.CANDIDATE_AS_LARGE.because(f"{both}.")
    if findings.left_out_ml >= LEFT_OUT_TOLD_ML:
        left_out = f"{findings.left_out}, together {millilitres_text(findings.left_out_ml)} mL."
        yield warnings.PARTS_LEFT_OUT.because(left_out)
