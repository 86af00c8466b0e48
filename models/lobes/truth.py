"""Lungs whose fissures someone drew: what the lobes are measured on.

None of Med-RAD's has a CT beside it; one is painted from their masks, see `paint`.

`read_masked`: Med-RAD's RespiratoryMotionEnvironments, three patients with five lobe masks.
`read_drawn`: Med-RAD's TumorTargetEnvironments, five LIDC-IDRI patients with the lungs' surface and fissures drawn.
`read_luna16`: five lobe masks of 41 LUNA16 patients, without vessels: only the prior can be measured on them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES, Lobe
from service.imaging.harmonise import MODEL_ORIENTATION, PlaneGrid, resample_like, to_plane_grid
from service.imaging.lungs import Lungs, Side, find_lungs

LUNG_GRID = PlaneGrid(spacing_mm=1.5, size=256)
"""The grid on which the service finds lungs."""

LUNG_HU, TISSUE_HU = -850.0, 40.0

FISSURES = {
    "right oblique": ((Lobe.RUL, Lobe.RML), (Lobe.RLL,)),
    "right horizontal": ((Lobe.RUL,), (Lobe.RML,)),
    "left oblique": ((Lobe.LUL,), (Lobe.LLL,)),
}
"""The lobes on the two sides of each fissure."""

Points = NDArray[np.float64]
"""Shape (n, 3), LPS mm."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """One patient.

    ct: HU. lungs: as the service would hand them on.
    fissures: points by the names of `FISSURES`. lobes: true labels on the CT's grid, or None.
    """

    name: str
    ct: hd.Volume
    lungs: Lungs
    fissures: dict[str, Points]
    lobes: NDArray[np.uint8] | None


def read_masked(folder: Path) -> Truth:
    """A patient with lobe masks."""
    lobes = None
    for lobe in Lobe:
        image = _read(folder / f"{lobe.name}.nii.gz")
        if lobes is None:
            lobes = image.with_array(np.zeros(image.spatial_shape, np.uint8))
        lobes.array[image.array > 0] = lobe
    assert lobes is not None
    ct = paint(lobes.with_array(lobes.array > 0), _read(folder / "vessels.nii.gz"))
    return Truth(folder.name, ct, lungs_of(lobes), borders(lobes), lobes.array)


def read_drawn(folder: Path) -> Truth:
    """A patient with drawn fissures; the airways are cut out of the lungs, as the service's lungs have none."""
    inside, airways = _read(folder / "pleuralBoundary.nii.gz"), _read(folder / "bronchialTree.nii.gz")
    lung = inside.with_array((inside.array > 0) & ~ndimage.binary_dilation(airways.array > 0, iterations=2))
    grid, probability = _on_model(lung)
    lungs = find_lungs(grid, probability, lung.with_array(_flickering(lung.array)))
    drawn = _read(folder / "fissures.nii.gz")
    fissures = by_fissure(to_lps(drawn, np.argwhere(drawn.array > 0)), lung, lungs.on_source)
    return Truth(f"LIDC {folder.name}", paint(lung, _read(folder / "vessels.nii.gz")), lungs, fissures, None)


def read_luna16(path: Path) -> hd.Volume:
    """Lobe labels (`Lobe`; the files have the same numbers)."""
    volume = hd.Volume.from_nibabel(nibabel.load(path)).to_patient_orientation(MODEL_ORIENTATION)
    return volume.with_array(volume.array.astype(np.uint8))


def _flickering(mask: NDArray[np.bool_]) -> NDArray[np.int16]:
    """The mask by which the service sees that there is an image: what never changes from slice to slice is padding."""
    return np.asarray(mask + np.arange(len(mask), dtype=np.int16)[:, None, None] % 2, np.int16)


def paint(lung: hd.Volume, vessels: hd.Volume) -> hd.Volume:
    """A CT in HU of lung, vessels in it and soft tissue around, without noise, airways or disease."""
    hu = np.where(lung.array, np.float32(LUNG_HU), np.float32(TISSUE_HU))
    hu[vessels.array > 0] = TISSUE_HU
    return lung.with_array(hu)


def lungs_of(lobes: hd.Volume) -> Lungs:
    """The lungs under lobe labels, as the service would hand them to the lobe model."""
    sides = np.zeros(lobes.spatial_shape, np.uint8)
    sides[np.isin(lobes.array, RIGHT_LOBES)] = Side.RIGHT
    sides[np.isin(lobes.array, LEFT_LOBES)] = Side.LEFT
    grid = _on_model(lobes.with_array(sides > 0))[0]
    on_model = np.zeros(grid.spatial_shape, np.uint8)
    for side in Side:
        on_model[resample_like(lobes.with_array((sides == side) * np.uint8(255)), grid) >= 128] = side
    return Lungs(grid.with_array(on_model), sides, ())


def by_fissure(points: Points, grid: hd.Volume, sides: NDArray[np.uint8]) -> dict[str, Points]:
    """Drawn points by the nearest lung and, in the right lung, by fissure; by the names of `FISSURES`.

    sides: labels `Side` on the grid. Lines that part the two lungs are left out.
    """
    trees = [KDTree(to_lps(grid, np.argwhere(_surface(sides == side)))) for side in Side]
    index = np.rint((points - grid.affine[:3, 3]) @ np.linalg.inv(grid.affine[:3, :3]).T).astype(int)
    side_of = sides[tuple(np.clip(index, 0, np.array(sides.shape) - 1).T)]
    to_right, to_left = (np.where(side_of == s, 0.0, t.query(points)[0]) for s, t in zip(Side, trees, strict=True))
    apart = np.maximum(to_right, to_left) > _JUNCTION_MM
    horizontal, oblique = _part(points[apart & (to_right < to_left)])
    left = points[apart & (to_left < to_right)]
    return {"right oblique": oblique, "right horizontal": horizontal, "left oblique": left}


def borders(labels: hd.Volume) -> dict[str, Points]:
    """Middles of the voxel faces between the lobes of each fissure."""
    found = {}
    for name, (above, below) in FISSURES.items():
        upper, lower = np.isin(labels.array, above), np.isin(labels.array, below)
        faces = []
        for axis in range(3):
            near, far = [tuple(slice(*cut) if a == axis else slice(None) for a in range(3)) for cut in _NEIGHBOURS]
            face = (upper[near] & lower[far]) | (lower[near] & upper[far])
            faces.append(np.argwhere(face) + 0.5 * (np.arange(3) == axis))
        found[name] = to_lps(labels, np.concatenate(faces))
    return found


def to_lps(volume: hd.Volume, index: NDArray[Any]) -> Points:
    """Voxel indices, shape (n, 3), as LPS mm."""
    return np.asarray(index @ volume.affine[:3, :3].T + volume.affine[:3, 3])


_NEIGHBOURS = ((None, -1), (1, None))
_JUNCTION_MM = 8.0
"""Where the two lungs are closer, a drawn line parts the lungs, not the lobes."""

_COLUMN_MM, _APART_MM = 4.0, 10.0


def _read(path: Path) -> hd.Volume:
    """Oriented like the model; every second voxel in each direction of fine scans, to save memory."""
    volume = hd.Volume.from_nibabel(nibabel.load(path))
    fine = volume.spacing[2] < 1.0
    return (volume[::2, ::2, ::2] if fine else volume).to_patient_orientation(MODEL_ORIENTATION)


def _on_model(lung: hd.Volume) -> tuple[hd.Volume, hd.Volume]:
    """HU and probability (0-255) of a lung mask on the grid on which the service finds lungs."""
    grid = to_plane_grid(lung.with_array(np.where(lung.array, LUNG_HU, TISSUE_HU)), LUNG_GRID)
    return grid, grid.with_array(resample_like(lung.with_array(lung.array * np.uint8(255)), grid))


def _part(points: Points) -> tuple[Points, Points]:
    """Horizontal and oblique fissure of a right lung.

    Where a column meets both, the horizontal fissure is the upper one. The plane through the gaps between them says
    where they join; behind it all is oblique. Single points before it go to the nearer surface (quadratic in x, y).
    """
    columns = np.unique(np.floor(points[:, :2] / _COLUMN_MM).astype(int), axis=0, return_inverse=True)[1].ravel()
    count = columns.max() + 1
    top, bottom = np.full(count, -np.inf), np.full(count, np.inf)
    np.maximum.at(top, columns, points[:, 2])
    np.minimum.at(bottom, columns, points[:, 2])
    both = (top - bottom > _APART_MM)[columns]
    upper = both & (points[:, 2] > (top + bottom)[columns] / 2)
    x, y = ((points[:, :2] - points[:, :2].mean(0)) / 50.0).T
    plane = np.stack([np.ones_like(x), x, y], 1)
    quadric = np.column_stack([plane, x * x, x * y, y * y])
    gap = _fitted(plane, (top - bottom)[columns], both)
    to_horizontal = np.abs(points[:, 2] - _fitted(quadric, points[:, 2], upper))
    to_oblique = np.abs(points[:, 2] - _fitted(quadric, points[:, 2], both & ~upper))
    horizontal = np.where(both, upper, (gap > 0) & (to_horizontal < to_oblique))
    return points[horizontal], points[~horizontal]


def _fitted(terms: NDArray[np.float64], values: NDArray[np.float64], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Least squares over the points `where`, evaluated at all of them."""
    return np.asarray(terms @ np.linalg.lstsq(terms[where], values[where], rcond=None)[0])


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask & ~ndimage.binary_erosion(mask)
