"""Registers two CTs of one patient by their lungs: a rigid motion, found by SimpleITK, and checked.

Only the lungs' masks are needed: of an earlier CT they are in its Segmentation, when its images are long purged. The
signed distances to the masks' surfaces are compared, since masks alone tell an optimiser nothing where they do not
touch. Breathing is no rigid motion, so some millimetres are left; `finding_match` allows for them.
"""

from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
import SimpleITK
from numpy.typing import NDArray

from service.imaging.boxes import Box, bounds

sitk: Any = SimpleITK
"""Its functions have no types."""

COARSE_MM = 4.0
"""Voxels are skipped until they are about so far apart."""

LEAST_OVERLAP = 0.75
"""Dice of the registered lungs, against gross failures. Lungs that are equal have 0.98 and more; lungs of which one is
half again as large as the other have at most 0.8."""

MOST_DEGREES = 30.0
"""A patient lies straight within so much; more is a wrong minimum."""

_MARGIN_MM, _FARTHEST_MM = 25.0, 30.0
"""Around the lungs, and up to where distances count."""

_EDGE_MM = COARSE_MM / 2.0
"""Distances are 0 in the outermost voxels of a mask, whose edge lies half a voxel farther out."""

_STEPS, _FIRST_STEP_MM, _LAST_STEP_MM = 200, 4.0, 0.02

Affine = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """to_now: 4 by 4, from LPS mm of the earlier CT to those of the present one. overlap: Dice of the lungs then."""

    to_now: Affine
    overlap: float

    @property
    def to_then(self) -> Affine:
        """The other way."""
        return np.linalg.inv(self.to_now).astype(np.float64)


def register(prior: hd.Volume, now: hd.Volume) -> Registration | None:
    """Register the lungs of an earlier CT to those of the present one; None where it fails its checks.

    prior, now: labels of both lungs, uint8, 0 outside; any axes and spacing. The same masks give the same motion: one
    thread, and every voxel counts.
    """
    if not prior.array.any() or not now.array.any():
        return None
    moving, fixed = _distances(_coarse(prior)), _distances(_coarse(now))
    motion = _optimised(fixed, moving)
    overlap = _dice(fixed, moving, motion)
    to_prior = _matrix(motion)
    if overlap < LEAST_OVERLAP or _degrees(to_prior) > MOST_DEGREES:
        return None
    return Registration(np.linalg.inv(to_prior).astype(np.float64), overlap)


def _coarse(mask: hd.Volume) -> hd.Volume:
    """Every so many voxels of the mask, each as it is, cut to their box, with a margin."""
    every: Box = tuple(slice(None, None, max(1, round(COARSE_MM / float(spacing)))) for spacing in mask.spacing)
    thinned = mask[every]
    thinned = thinned[bounds(thinned.array > 0, (0, 0, 0))]
    margin = [int(np.ceil(_MARGIN_MM / float(spacing))) for spacing in thinned.spacing]
    return thinned.pad([(one, one) for one in margin])


def _distances(mask: hd.Volume) -> Any:
    """Signed distances to the surface in mm, negative inside, none farther than `_FARTHEST_MM`."""
    image = mask.with_array((mask.array > 0).astype(np.uint8)).to_simpleitk()
    found = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    return sitk.Clamp(found, sitk.sitkFloat32, -_FARTHEST_MM, _FARTHEST_MM)


def _optimised(fixed: Any, moving: Any) -> Any:
    """The motion from points of `fixed` to points of `moving`, as ITK has it."""
    start = sitk.CenteredTransformInitializer(
        _inside(fixed), _inside(moving), sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMeanSquares()
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(_FIRST_STEP_MM, _LAST_STEP_MM, _STEPS)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(start, inPlace=False)
    return method.Execute(fixed, moving)


def _inside(distances: Any) -> Any:
    return sitk.Cast(distances <= 0.0, sitk.sitkFloat32)


def _dice(fixed: Any, moving: Any, motion: Any) -> float:
    """Overlap of the masks: of what both have on the grid of `fixed`, in the whole of each, wherever that lies."""
    moved = sitk.Resample(moving, fixed, motion, sitk.sitkLinear, _FARTHEST_MM)
    here, there, whole = (sitk.GetArrayViewFromImage(one) <= _EDGE_MM for one in (fixed, moved, moving))
    voxel, voxel_of_moving = (float(np.prod(one.GetSpacing())) for one in (fixed, moving))
    both = np.count_nonzero(here & there) * voxel
    return float(2.0 * both / (np.count_nonzero(here) * voxel + np.count_nonzero(whole) * voxel_of_moving))


def _matrix(motion: Any) -> Affine:
    """4 by 4, of a rigid motion of any of ITK's classes: where it takes the origin and the ends of the axes."""
    origin = np.array(motion.TransformPoint((0.0, 0.0, 0.0)))
    found = np.eye(4)
    for axis in range(3):
        found[:3, axis] = np.array(motion.TransformPoint(tuple(np.eye(3)[axis]))) - origin
    found[:3, 3] = origin
    return found


def _degrees(motion: Affine) -> float:
    """Angle of the rotation."""
    return float(np.degrees(np.arccos(np.clip((np.trace(motion[:3, :3]) - 1.0) / 2.0, -1.0, 1.0))))
