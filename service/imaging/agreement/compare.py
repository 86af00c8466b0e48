"""How well one mask agrees with another: overlap, surfaces and volumes.

What is not defined is None, never a flattering or punishing number (docs/decisions/0050): two empty masks have no
overlap to measure, and from an empty mask there is no distance.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.imaging.agreement.surface import hausdorff_mm, surface_dice, surface_distances

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Agreement:
    """One label of one case. dice, jaccard, surface_dice: 0 to 1; None where not defined.

    dice: 2 |P and T| / (|P| + |T|) (Dice 1945). jaccard: |P and T| / |P or T| (Jaccard 1912). surface_dice, h95_mm: see
    `surface`. Two empty masks: None, of all of them; one empty: 0, but no h95_mm. added_path_length_mm: None for an
    empty truth, which nobody would draw: it would flatter a mean.
    """

    truth_ml: float
    pred_ml: float
    dice: float | None = None
    jaccard: float | None = None
    surface_dice: float | None = None
    h95_mm: float | None = None
    added_path_length_mm: float | None = None

    @property
    def difference_ml(self) -> float:
        """Prediction minus truth."""
        return self.pred_ml - self.truth_ml

    @property
    def empty(self) -> Literal["both", "pred", "truth"] | None:
        if self.truth_ml == 0:
            return "truth" if self.pred_ml else "both"
        return None if self.pred_ml else "pred"


BOTH_EMPTY = Agreement(truth_ml=0.0, pred_ml=0.0)


def compare(
    pred: Mask, truth: Mask, spacing_mm: tuple[float, float, float], slice_axis: int, tolerance_mm: float
) -> Agreement:
    """Agreement of two masks of one shape.

    spacing_mm: distance between voxels along each axis of the arrays; slice_axis: the axis across the slices, for the
    added path length; tolerance_mm: of the surface Dice.
    """
    box = _bounding_box(pred | truth)
    if box is None:
        return BOTH_EMPTY
    pred, truth = pred[box], truth[box]
    voxel_ml = float(np.prod(spacing_mm)) / 1000.0
    both, in_pred, in_truth = (int(np.count_nonzero(mask)) for mask in (pred & truth, pred, truth))
    distances = surface_distances(pred, truth, spacing_mm) if in_pred and in_truth else None
    return Agreement(
        truth_ml=in_truth * voxel_ml,
        pred_ml=in_pred * voxel_ml,
        dice=2 * both / (in_pred + in_truth),
        jaccard=both / (in_pred + in_truth - both),
        surface_dice=surface_dice(distances, tolerance_mm) if distances else 0.0,
        h95_mm=hausdorff_mm(distances) if distances else None,
        added_path_length_mm=_added_path_length_mm(pred, truth, spacing_mm, slice_axis) if in_truth else None,
    )


def _bounding_box(mask: Mask) -> tuple[slice, ...] | None:
    """None for an empty mask."""
    box = []
    for axis in range(mask.ndim):
        used = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if not len(used):
            return None
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    return tuple(box)


def _added_path_length_mm(pred: Mask, truth: Mask, spacing_mm: tuple[float, float, float], slice_axis: int) -> float:
    """Contour of the truth, slice by slice, that is not contour of the prediction: what somebody would have to draw.

    Vaassen et al., "Evaluation of measures for assessing time-saving of automatic organ-at-risk segmentation in
    radiotherapy", Phys Imaging Radiat Oncol 2020 (doi:10.1016/j.phro.2019.12.001). A voxel of contour is a labelled
    voxel beside one that is not (four neighbours in its slice) and counts as long as a voxel is wide (geometric mean of
    its two sides). Of an empty prediction it is the whole contour of the truth. Erasing is not counted.
    """
    added = np.count_nonzero(_contour(truth, slice_axis) & ~_contour(pred, slice_axis))
    sides = [s for axis, s in enumerate(spacing_mm) if axis != slice_axis]
    return added * float(np.sqrt(np.prod(sides)))


def _contour(mask: Mask, slice_axis: int) -> Mask:
    slices = np.moveaxis(mask, slice_axis, 0)
    padded = np.pad(slices, ((0, 0), (1, 1), (1, 1)))
    inner = padded[:, :-2, 1:-1] & padded[:, 2:, 1:-1] & padded[:, 1:-1, :-2] & padded[:, 1:-1, 2:]
    return slices & ~inner
