"""Volumes and mean attenuation of lobes, lungs and findings, slice by slice to keep memory small.

Opacity is split by attenuation (docs/decisions/0012): at or above `HIGH_OPACITY_HU`, after averaging with the
neighbouring opacity, it is high opacity (consolidation, effusion, vessels inside it), below it ground glass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.domain.findings import LEFT_LOBES, RIGHT_LOBES, Finding, FindingRegion, Lobe, Region
from service.imaging.boxes import bounds, clipped

HIGH_OPACITY_HU = -200.0
SMOOTHING_MM = 1.0

_TRUNCATE = 3.0
"""Reach of the average, in sigmas."""

Labels = NDArray[np.uint8]

_KINDS = len(Finding) + 1
_LABELS = len(Lobe) + 1


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """What was measured; keys as in `service.domain.findings.Analysis`."""

    lobes: Mapping[Lobe, Region]
    lungs: Mapping[str, Region]
    findings: Mapping[Finding, FindingRegion]


def split_by_attenuation(
    hu: NDArray[np.float32], opacity: NDArray[np.bool_], pixel_spacing_mm: tuple[float, float]
) -> Labels:
    """Finding labels (`Finding`) of the opacity mask; both of shape (slice, row, column).

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
        labels[k][where] = np.where(high, Finding.HIGH_OPACITY, Finding.GROUND_GLASS) * mask[where]
    return labels


def measure(hu: NDArray[np.float32], lobe_mask: Labels, finding_mask: Labels, voxel_ml: float) -> Measurements:
    """Measure all regions. hu, lobe_mask (`Lobe`), finding_mask (`Finding`): one shape (slice, row, column).

    Findings outside the lobes are not counted: ValueError, they must not exist.
    """
    counts, sums = _tally(hu, lobe_mask, finding_mask)
    if counts[0, 1:].any():
        raise ValueError("a finding lies outside the lungs")

    def region(lobes: Sequence[Lobe]) -> Region:
        count, total = counts[list(lobes)].sum(0), sums[list(lobes)].sum()
        ml = count * voxel_ml
        mean = float(total / count.sum()) if count.sum() else None
        return Region(float(ml.sum()), float(ml[Finding.GROUND_GLASS]), float(ml[Finding.HIGH_OPACITY]), mean)

    lungs_voxels = counts[1:].sum()

    def finding(kind: Finding) -> FindingRegion:
        count, total = counts[:, kind].sum(), sums[:, kind].sum()
        percent = 100.0 * float(count / lungs_voxels) if lungs_voxels else 0.0
        return FindingRegion(float(count * voxel_ml), percent, float(total / count) if count else None)

    return Measurements(
        lobes={lobe: region([lobe]) for lobe in Lobe},
        lungs={"left": region(LEFT_LOBES), "right": region(RIGHT_LOBES), "total": region(list(Lobe))},
        findings={kind: finding(kind) for kind in Finding},
    )


def _tally(
    hu: NDArray[np.float32], lobe_mask: Labels, finding_mask: Labels
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Voxel counts and HU sums, both of shape (lobe label, finding label); 0 for what is neither."""
    counts = np.zeros(_LABELS * _KINDS, np.int64)
    sums = np.zeros(_LABELS * _KINDS)
    for k in range(len(hu)):
        both = lobe_mask[k] * np.uint8(_KINDS) + finding_mask[k]
        some = both > 0
        counts += np.bincount(both[some], minlength=len(counts))
        sums += np.bincount(both[some], hu[k][some], minlength=len(sums))
    return counts.reshape(_LABELS, _KINDS), sums.reshape(_LABELS, _KINDS)
