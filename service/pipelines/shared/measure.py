"""Volumes and mean attenuation of lobes, lungs and opacities, slice by slice to keep memory small.

Opacity is split by attenuation (docs/decisions/0012): at or above `HIGH_OPACITY_HU`, after averaging with the
neighbouring opacity, it is high opacity (consolidation, effusion, vessels inside it), below it ground glass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES, Lobe
from service.domain.ct import Hounsfield
from service.imaging.boxes import bounds, clipped
from service.pipelines.shared.opacities import Opacity

HIGH_OPACITY_HU = -200.0
SMOOTHING_MM = 1.0

_TRUNCATE = 3.0
"""Reach of the average, in sigmas."""

Labels = NDArray[np.uint8]

_KINDS = len(Opacity) + 1
_LABELS = len(Lobe) + 1


@dataclass(frozen=True, slots=True)
class Region:
    """Measurements of one region of lung. mean_hu is None when the region is empty."""

    volume_ml: float
    ggo_ml: float
    high_opacity_ml: float
    mean_hu: float | None

    @property
    def opacity_ml(self) -> float:
        return self.ggo_ml + self.high_opacity_ml

    @property
    def opacity_percent(self) -> float:
        """Affected part of the region, unrounded percent; 0 for an empty region."""
        return 100.0 * self.opacity_ml / self.volume_ml if self.volume_ml else 0.0


@dataclass(frozen=True, slots=True)
class OpacityRegion:
    """Measurements of one kind of opacity in both lungs. mean_hu is None when there is none."""

    volume_ml: float
    percent_of_lungs: float
    mean_hu: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """Regions of lung, and kinds of opacity. lungs: keys "left", "right", "total"."""

    lobes: Mapping[Lobe, Region]
    lungs: Mapping[str, Region]
    opacities: Mapping[Opacity, OpacityRegion]


def split_by_attenuation(hu: Hounsfield, opacity: NDArray[np.bool_], pixel_spacing_mm: tuple[float, float]) -> Labels:
    """Labels (`Opacity`) of the opacity mask; both of shape (slice, row, column).

    The in-plane average (Gaussian, sigma `SMOOTHING_MM`) is taken over opacity only, so that aerated lung or the
    chest wall beside it does not shift it.
    """
    sigma = [SMOOTHING_MM / s for s in pixel_spacing_mm]
    margin = int(np.ceil(_TRUNCATE * max(sigma))) + 1
    labels = np.zeros(opacity.shape, np.uint8)
    for k, mask in enumerate(opacity):
        if not mask.any():
            continue
        where = clipped(bounds(mask, (margin, margin)), mask.shape)
        part = mask[where].astype(np.float32)
        weight = ndimage.gaussian_filter(part, sigma, truncate=_TRUNCATE)
        total = ndimage.gaussian_filter(hu[k][where] * part, sigma, truncate=_TRUNCATE)
        high = total >= HIGH_OPACITY_HU * weight
        labels[k][where] = np.where(high, Opacity.HIGH_OPACITY, Opacity.GROUND_GLASS) * mask[where]
    return labels


def measure(hu: Hounsfield, lobe_mask: Labels, opacity_mask: Labels, voxel_ml: float) -> Measurements:
    """Measure all regions. hu, lobe_mask (`Lobe`), opacity_mask (`Opacity`): one shape (slice, row, column).

    Opacities outside the lobes are not counted: ValueError, they must not exist.
    """
    counts, sums = _tally(hu, lobe_mask, opacity_mask)
    if counts[0, 1:].any():
        raise ValueError("an opacity lies outside the lungs")

    def region(lobes: Sequence[Lobe]) -> Region:
        count, total = counts[list(lobes)].sum(0), sums[list(lobes)].sum()
        ml = count * voxel_ml
        mean = float(total / count.sum()) if count.sum() else None
        return Region(float(ml.sum()), float(ml[Opacity.GROUND_GLASS]), float(ml[Opacity.HIGH_OPACITY]), mean)

    lungs_voxels = counts[1:].sum()

    def opacity(kind: Opacity) -> OpacityRegion:
        count, total = counts[:, kind].sum(), sums[:, kind].sum()
        percent = 100.0 * float(count / lungs_voxels) if lungs_voxels else 0.0
        return OpacityRegion(float(count * voxel_ml), percent, float(total / count) if count else None)

    return Measurements(
        lobes={lobe: region([lobe]) for lobe in Lobe},
        lungs={"left": region(LEFT_LOBES), "right": region(RIGHT_LOBES), "total": region(list(Lobe))},
        opacities={kind: opacity(kind) for kind in Opacity},
    )


def _tally(hu: Hounsfield, lobe_mask: Labels, opacity_mask: Labels) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Voxel counts and HU sums, both of shape (lobe label, opacity label); 0 for what is neither."""
    counts = np.zeros(_LABELS * _KINDS, np.int64)
    sums = np.zeros(_LABELS * _KINDS)
    for k in range(len(hu)):
        both = lobe_mask[k] * np.uint8(_KINDS) + opacity_mask[k]
        some = both > 0
        counts += np.bincount(both[some], minlength=len(counts))
        sums += np.bincount(both[some], hu[k][some], minlength=len(sums))
    return counts.reshape(_LABELS, _KINDS), sums.reshape(_LABELS, _KINDS)
