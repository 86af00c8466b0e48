"""Where a finding lies: its lobes, its side, and how far it is from the surface of the lung.

A lung that a finding has filled or let collapse may be missing around it in the lungs' mask. So each voxel of a finding
counts for the lobe that is nearest to it, which is its own lobe where it lies in one. How much of a finding lies in the
lungs as measured is told, too: where nothing does, it lies beside them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from service.domain.anatomy import RIGHT_LOBES, Lobe
from service.domain.ct import CT
from service.imaging.boxes import Box, clipped
from service.imaging.diameters import border
from service.pipelines.nsclc_gtv.field_grid import FieldGrid
from service.pipelines.nsclc_gtv.findings import Finding

NEAREST_WITHIN_MM = 30.0
"""A lobe is sought so far around a finding. Dense lung that a mass has left out of the mask is rarely thicker."""

PLEURA_WITHIN_MM = (15.0, 30.0, 60.0)
"""The surface of the lung is sought so far around a finding, and further where it is not found: a small box takes a
part of the time. Beyond the last no distance is told."""

SHARE_TOLD = 0.25
"""A finding lies in several lobes, or in both lungs, if at least this part of it lies in another one."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Place:
    """lobes: parts of a finding that are nearest to each lobe, 0 to 1, the largest first. overlap: part of it in the
    lungs as measured, 0 to 1; holes of the lungs in a slice count as lung. gap_mm: between its border and that of the
    nearest lobe, 0 where it overlaps or touches. pleura_mm: the least distance between its border and the surface of
    lung and finding together, 0 where it touches; None beyond `PLEURA_WITHIN_MM`, and beside the lungs.
    """

    lobes: Mapping[Lobe, float]
    overlap: float
    gap_mm: float
    pleura_mm: float | None

    @property
    def beside(self) -> bool:
        """Whether it neither lies in the lungs as measured nor touches them."""
        return self.overlap == 0.0 and self.gap_mm > 0.0

    @property
    def lobe(self) -> Lobe:
        """The lobe that holds most of it."""
        return next(iter(self.lobes))

    @property
    def others(self) -> tuple[Lobe, ...]:
        """Other lobes that hold a part worth telling."""
        return tuple(lobe for lobe, part in list(self.lobes.items())[1:] if part >= SHARE_TOLD)

    @property
    def right_part(self) -> float:
        """Part of the finding in the right lung, 0 to 1."""
        return sum(part for lobe, part in self.lobes.items() if lobe in RIGHT_LOBES)


def right_part_by_spine(ct: CT, finding: Finding, grid: FieldGrid) -> float:
    """Part of a finding on the right of the spine, 0 to 1: its side where the lungs are not known."""
    voxels = np.argwhere(finding.mask) + [part.start for part in finding.box]
    slices, _, columns = grid.hu.map_reference_to_indices(ct.volume.map_indices_to_reference(voxels)).T
    spine = grid.field.spine
    at = np.clip(np.rint(slices).astype(int) - grid.field.chest.start, 0, len(spine) - 1)
    return float(np.mean(columns < spine[at]))


def place_of(ct: CT, finding: Finding, lobe_mask: NDArray[np.uint8]) -> Place | None:
    """Where it lies; None where no lung is near. lobe_mask: labels (`Lobe`), axes (slice, row, column) of the CT."""
    box, mask = _around(ct, finding, NEAREST_WITHIN_MM)
    near = lobe_mask[box]
    if not near.any():
        return None
    overlap = float(_filled(near > 0)[mask].mean())
    gap_mm = 0.0 if overlap else _gap_mm(border(mask), border(near > 0), ct.volume.spacing)
    if gap_mm > NEAREST_WITHIN_MM:
        return None
    own = _nearest(near, mask, ct.volume.spacing)
    counts = np.bincount(own, minlength=len(Lobe) + 1)[1:]
    order = np.argsort(-counts, kind="stable")
    shares = {Lobe(int(k) + 1): float(counts[k] / counts.sum()) for k in order if counts[k]}
    return Place(shares, overlap, gap_mm, None if gap_mm else _to_surface_mm(ct, finding, lobe_mask))


def _filled(lungs: Mask) -> Mask:
    """Lungs without holes in a slice: a mass that their mask leaves out lies in one."""
    return np.stack([ndimage.binary_fill_holes(plane) for plane in lungs])


def _gap_mm(points: NDArray[np.float64], others: NDArray[np.float64], spacing_mm: tuple[float, ...]) -> float:
    """The least distance between two sets of points, given in voxels."""
    distances, _ = cKDTree(others * spacing_mm).query(points * spacing_mm)
    return float(distances.min())


def _nearest(lobes: NDArray[np.uint8], mask: Mask, spacing_mm: tuple[float, float, float]) -> NDArray[np.uint8]:
    """The lobe that is nearest to each voxel of a mask: its own, where it lies in one."""
    own = lobes[mask]
    if own.all():
        return own
    where = ndimage.distance_transform_edt(lobes == 0, sampling=spacing_mm, return_distances=False, return_indices=True)
    found: NDArray[np.uint8] = lobes[tuple(where)][mask]
    return found


def _to_surface_mm(ct: CT, finding: Finding, lobe_mask: NDArray[np.uint8]) -> float | None:
    """Between points half-way from voxel to voxel, so that what touches is 0 apart.

    Holes of the lungs in a slice are no surface: a rim between a mass and the mask around it is nothing to measure to.
    """
    for margin_mm in PLEURA_WITHIN_MM:
        box, mask = _around(ct, finding, margin_mm)
        inside = _filled((lobe_mask[box] > 0) | mask)
        surface = _within(border(inside), inside.shape)
        if len(surface):
            gap_mm = _gap_mm(border(mask), surface, ct.volume.spacing)
            if gap_mm <= margin_mm:
                return gap_mm
    return None


def _within(points: NDArray[np.float64], size: tuple[int, ...]) -> NDArray[np.float64]:
    """Without the points on the walls of the box, where lung goes on or the CT ends."""
    return points[((points >= 0) & (points <= np.array(size) - 1)).all(1)]


def _around(ct: CT, finding: Finding, margin_mm: float) -> tuple[Box, Mask]:
    """The box of a finding with a margin, within the CT, and its mask in it."""
    margin = [math.ceil(margin_mm / mm) for mm in ct.volume.spacing]
    grown = tuple(slice(one.start - more, one.stop + more) for one, more in zip(finding.box, margin, strict=True))
    box = clipped(grown, ct.volume.spatial_shape)
    mask = np.zeros([part.stop - part.start for part in box], np.bool_)
    mask[tuple(slice(one.start - by.start, one.stop - by.start) for one, by in zip(finding.box, box, strict=True))] = (
        finding.mask
    )
    return box, mask
