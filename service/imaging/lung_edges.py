"""Finds incomplete lungs: cut off by an edge of the images, or found and then left out.

Everything is measured on the model grid, whose axes run to the patient's feet, back and left; the sides named are the
patient's. Limits and what real CTs measure: docs/decisions/0102 and 0103.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.domain.ct import Hounsfield
from service.domain.flags import LUNG_AT_EDGE, LUNG_DROPPED, Flag
from service.errors import Reason, Refusal
from service.imaging.boxes import bounds, clipped
from service.imaging.harmonise import resample_like
from service.imaging.side import Side

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

MAX_END_PART, FLAGGED_END_PART = 0.10, 0.01
"""A lung's area in the first or last slice, as part of its largest slice area: above the first it is cut off."""

MAX_EDGE_PART, FLAGGED_EDGE_PART = 0.20, 0.005
"""Surface at the edge of the images, as part of that lung's surface that faces this side."""

_GAP_MM = 4.5
"""Lung that near to the edge touches it: networks blur, and a chest wall is thicker."""

MAX_LEFT_OUT_PART, FLAGGED_LEFT_OUT_ML = 0.10, 30.0
"""Lung left out: refused above that part of all that was found, flagged above that volume."""

GAS_HU, GAS_BELOW_LUNG_HU = -920.0, 70.0
"""What is thinner is gas (bowel, airways), but for emphysema: that much thinner than the lungs are."""

AIR_HU = -980.0
"""Air around the body is thinner, but for its noise."""

_SAME_IN_PART = 0.85
"""What holds one value in that part of the slices, to the bit, is no image: anatomy has noise. A few slices may lack
the padding."""

_SAMPLED_SLICES = 15
_CORE_MM = 3.0
_SIDES = ((1, -1, "front"), (1, 1, "back"), (2, -1, "right"), (2, 1, "left"))


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong with the lungs as found."""

    refusals: tuple[Refusal, ...]
    flags: tuple[Flag, ...]


def imaged(source: hd.Volume, grid: hd.Volume) -> Mask:
    """Voxels of `grid` that the CT shows: neither beyond its matrix nor in padding, whatever value that has."""
    shown = np.where(_constant(source.array), np.uint8(0), np.uint8(255))
    ends = source[:: max(1, len(source.array) - 1)]  # all slices show the same
    everywhere = np.ascontiguousarray(np.broadcast_to(shown, ends.spatial_shape))
    return np.asarray(resample_like(ends.with_array(everywhere), grid) >= 128, np.bool_)


def _constant(hu: Hounsfield) -> Mask:
    """Pixels, axes (row, column), that hold the same value in nearly every slice.

    A value that does is also the median of slices far apart, which is one of theirs, as they are odd in number.
    """
    sampled = np.linspace(0, len(hu) - 1, _SAMPLED_SLICES).round().astype(int)
    usual = np.median(hu[sampled], axis=0).astype(hu.dtype)
    same = np.zeros(usual.shape, np.int32)
    for plane in hu:
        same += plane == usual
    return np.asarray(same >= _SAME_IN_PART * len(hu), np.bool_)


@dataclass(frozen=True, slots=True)
class _Contact:
    """How much of a lung lies at an edge of the images: the part, what is refused above, what is flagged above."""

    sentence: str
    part: float
    most: float
    flagged: float


def check_edges(lungs: hd.Volume, shown: Mask) -> Findings:
    """TRUNCATED or LUNG_AT_EDGE. lungs: labels (`Side`); shown: see `imaged`."""
    contacts = [*_end_contacts(lungs.array), *_edge_contacts(lungs, shown)]
    cut = [f"{one.sentence}; at most {one.most:.0%} is accepted." for one in contacts if one.part > one.most]
    touching = [f"{one.sentence}." for one in contacts if one.part > one.flagged]
    refusals = (Refusal(Reason.TRUNCATED, " ".join(cut)),) if cut else ()
    return Findings(refusals, (LUNG_AT_EDGE.because(" ".join(touching)),) if touching else ())


def _end_contacts(labels: Labels) -> Iterator[_Contact]:
    """For each lung and end of the stack."""
    for side in Side:
        areas = np.count_nonzero(labels == side, axis=(1, 2))
        for end, word in ((0, "top"), (-1, "bottom")):
            part = int(areas[end]) / max(1, int(areas.max()))
            sentence = f"The {side.name.lower()} lung's area in the {word} slice is {_percent(part)} of its largest"
            yield _Contact(sentence, part, MAX_END_PART, FLAGGED_END_PART)


def _edge_contacts(lungs: hd.Volume, shown: Mask) -> Iterator[_Contact]:
    """For each lung and side of the patient."""
    for axis, step, word in _SIDES:
        reach = max(1, round(_GAP_MM / lungs.spacing[axis]))
        edge = np.zeros_like(shown)
        for distance in range(1, reach + 1):
            edge |= _neighbour(~shown, axis, step * distance, beyond=True)
        for side in Side:
            lung = lungs.array == side
            surface = lung & ~_neighbour(lung, axis, step, beyond=False)
            part = int(np.count_nonzero(surface & edge)) / max(1, int(np.count_nonzero(surface)))
            where = f"Of the {side.name.lower()} lung's surface to the {word}"
            yield _Contact(
                f"{where}, {_percent(part)} lies at the edge of the images", part, MAX_EDGE_PART, FLAGGED_EDGE_PART
            )


def _percent(part: float) -> str:
    """Whole percent; one decimal below 10 %, so that what is flagged never reads as nothing."""
    return f"{part:.0%}" if part >= 0.1 else f"{part:.1%}"


def _neighbour(mask: Mask, axis: int, step: int, beyond: bool) -> Mask:
    """Each voxel's neighbour `step` voxels along the axis."""
    moved = np.full_like(mask, beyond)
    here: list[slice] = [slice(None)] * mask.ndim
    there = here.copy()
    here[axis], there[axis] = (slice(-step), slice(step, None)) if step > 0 else (slice(-step, None), slice(step))
    moved[tuple(here)] = mask[tuple(there)]
    return moved


def check_left_out(hu: hd.Volume, found: Mask, lungs: Labels, outside: Mask) -> Findings:
    """LUNG_LOST or LUNG_DROPPED. found: what the network calls lung; outside: air that reaches the slice's border.

    Bowel gas and airways are left out rightly: they are thin as gas, or small. What lies in air that reaches the
    border counts where it is denser than air: it may be emphysema at the edge of a narrow field of view, or air around
    the body, which some networks call lung.
    """
    disc = np.ones((1, *(2 * max(1, round(_CORE_MM / mm)) + 1 for mm in hu.spacing[1:])), np.bool_)
    voxel_ml = float(hu.voxel_volume) / 1000.0
    kept = _kept(hu.array, found & (lungs == 0), outside, float(np.median(hu.array[lungs > 0])), disc)
    left_out_ml = kept * voxel_ml
    part = left_out_ml / (left_out_ml + float(np.count_nonzero(lungs)) * voxel_ml)
    left_out = f"{left_out_ml:.0f} mL, {part:.0%} of all"
    if part > MAX_LEFT_OUT_PART:
        most = f"at most {MAX_LEFT_OUT_PART:.0%} is accepted."
        return Findings((Refusal(Reason.LUNG_LOST, f"{left_out}; {most}"),), (LUNG_DROPPED.because(f"{left_out}."),))
    return Findings((), (LUNG_DROPPED.because(f"{left_out}."),) if left_out_ml > FLAGGED_LEFT_OUT_ML else ())


def _kept(hu: NDArray[np.int16], left_out: Mask, outside: Mask, lung_hu: float, disc: Mask) -> int:
    """Voxels of what is left out that are lung. lung_hu: what the lungs have in the middle."""
    if not left_out.any():
        return 0
    where = clipped(bounds(left_out, disc.shape), left_out.shape)
    left_out, outside, smooth = (
        left_out[where],
        outside[where],
        ndimage.uniform_filter(hu[where], (1, 3, 3), np.float32),
    )
    gas_hu = min(GAS_HU, lung_hu - GAS_BELOW_LUNG_HU)
    inside = _solid(left_out & ~outside, smooth > gas_hu, disc)
    return int(np.count_nonzero(inside | ndimage.binary_opening(left_out & outside & (smooth > AIR_HU), disc)))


def _solid(mask: Mask, dense: Mask, disc: Mask) -> Mask:
    """The parts of the mask whose core is dense."""
    core = ndimage.binary_erosion(mask, disc) & dense
    return np.asarray(ndimage.binary_dilation(core, disc) & mask, np.bool_)
