"""Lungs and lobes around the findings. A CT whose lungs cannot be measured is analysed for tumours all the same."""

from dataclasses import dataclass, replace

import numpy as np

from service.domain.analysis import LabelArray
from service.domain.ct import CT
from service.domain.flags import Flag
from service.domain.ports import Backend, Progress
from service.errors import Rejected
from service.pipelines.nsclc_gtv.field_grid import FieldGrid
from service.pipelines.nsclc_gtv.flags import LUNGS_UNMEASURED
from service.pipelines.shared.lobes import lobes_of
from service.pipelines.shared.lungs import lungs_of, slice_answers

AROUND_CHEST_MM = 60.0
"""Of a CT that reaches far beyond the chest, lungs are sought so far beyond the slices of the lung field: gas of the
bowel is not, and lungs do not end where the images of what is looked at do."""


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """lobe_mask: labels (`Lobe`) of the lungs, axes (slice, row, column) of the CT; None where they were not measured.

    flags: of the lungs, or why they were not measured.
    """

    lobe_mask: LabelArray | None
    flags: tuple[Flag, ...]


def anatomy_of(ct: CT, backend: Backend, progress: Progress) -> Anatomy:
    """Lungs and lobes as of every pipeline, but what would refuse a CT there is told here; other errors pass."""
    progress("lungs", 0.0)
    try:
        answers = slice_answers(ct, backend, lambda done: progress("lungs", 0.7 * done))
        lungs = lungs_of(ct, answers, backend, lambda done: progress("lungs", 0.7 + 0.3 * done))
        lobe_mask = lobes_of(ct, lungs, backend, progress)
    except Rejected as rejected:
        why = " ".join(f"{one.reason.value}: {one.detail}" for one in rejected.refusals)
        return Anatomy(None, (LUNGS_UNMEASURED.because(why),))
    return Anatomy(lobe_mask, lungs.flags)


def anatomy_in_chest(ct: CT, grid: FieldGrid, backend: Backend, progress: Progress) -> Anatomy:
    """The same, found in the slices around the lung field alone."""
    chest = _slices_around(ct, grid)
    found = anatomy_of(_cut(ct, chest), backend, progress)
    if found.lobe_mask is None:
        return found
    lobe_mask: LabelArray = np.zeros(ct.volume.spatial_shape, np.uint8)
    lobe_mask[chest] = found.lobe_mask
    return replace(found, lobe_mask=lobe_mask)


def _slices_around(ct: CT, grid: FieldGrid) -> slice:
    """The slices of the CT that lie within `AROUND_CHEST_MM` of those of the field."""
    chest = grid.field.chest
    ends = grid.hu.map_indices_to_reference(np.array([[chest.start, 0, 0], [chest.stop - 1, 0, 0]], np.float64))
    first, last = sorted(ct.volume.map_reference_to_indices(ends)[:, 0].tolist())
    more = AROUND_CHEST_MM / float(ct.volume.spacing[0])
    return slice(max(0, int(first - more)), min(ct.volume.spatial_shape[0], int(np.ceil(last + more)) + 1))


def _cut(ct: CT, slices: slice) -> CT:
    """A part of a CT, of which nothing is remembered."""
    headers = ct.headers if ct.frame_numbers else ct.headers[slices]
    return replace(ct, headers=headers, volume=ct.volume[slices], frame_numbers=ct.frame_numbers[slices])
