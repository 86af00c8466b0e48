"""Anatomy of the phantom chest: simple shapes in the patient's frame, so every volume is known.

Coordinates are LPS in mm, relative to the phantom's centre: +x left, +y posterior, +z head.
"""

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES, Lobe
from service.pipelines.shared.opacities import Opacity

Array = NDArray[np.float64]

AIR_HU, FAT_HU, SOFT_HU, BONE_HU, LUNG_HU = -1000, -100, 40, 400, -850
FINDING_HU = {Opacity.GROUND_GLASS: -600, Opacity.HIGH_OPACITY: 20}


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    centre_mm: tuple[float, float, float]
    half_axes_mm: tuple[float, float, float]

    @property
    def ml(self) -> float:
        a, b, c = self.half_axes_mm
        return 4 / 3 * pi * a * b * c / 1000

    def holds(self, x: Array, y: Array, z: Array) -> NDArray[np.bool_]:
        terms = zip((x, y, z), self.centre_mm, self.half_axes_mm, strict=True)
        inside: NDArray[np.bool_] = sum(((p - c) / h) ** 2 for p, c, h in terms) <= 1.0
        return inside


RIGHT_LUNG = Ellipsoid((-72.0, 0.0, 0.0), (55.0, 80.0, 95.0))  # 1751 mL
LEFT_LUNG = Ellipsoid((75.0, 0.0, 0.0), (50.0, 75.0, 92.0))  # 1445 mL


@dataclass(frozen=True, slots=True)
class Ball:
    """A finding of a known volume; it has to lie inside one lung."""

    finding: Opacity
    centre_mm: tuple[float, float, float]
    ml: float

    @property
    def shape(self) -> Ellipsoid:
        radius_mm = (self.ml * 1000 * 3 / (4 * pi)) ** (1 / 3)
        return Ellipsoid(self.centre_mm, (radius_mm,) * 3)


FINDINGS = (
    Ball(Opacity.GROUND_GLASS, (-72.0, 40.0, -35.0), 60.0),
    Ball(Opacity.GROUND_GLASS, (75.0, -20.0, 40.0), 30.0),
    Ball(Opacity.HIGH_OPACITY, (75.0, 35.0, -30.0), 40.0),
)
"""Opacities in the right lower, left upper and left lower lobe."""


def lobes(x: Array, y: Array, z: Array) -> NDArray[np.uint8]:
    """Lobe labels: lungs cut by oblique planes (both sides) and one horizontal plane (right side)."""
    below_oblique = z - 0.8 * y < -10.0
    right = np.where(below_oblique, Lobe.RLL, np.where(z < 5.0, Lobe.RML, Lobe.RUL))
    left = np.where(below_oblique, Lobe.LLL, Lobe.LUL)
    labels = np.where(RIGHT_LUNG.holds(x, y, z), right, np.where(LEFT_LUNG.holds(x, y, z), left, 0))
    return labels.astype(np.uint8)


def findings(x: Array, y: Array, z: Array, balls: tuple[Ball, ...]) -> NDArray[np.uint8]:
    """Opacity labels of the balls."""
    labels = np.zeros(np.broadcast(x, y, z).shape, np.uint8)
    for ball in balls:
        labels[ball.shape.holds(x, y, z)] = ball.finding
    return labels


def hounsfield(
    x: Array, y: Array, z: Array, lobe_mask: NDArray[np.uint8], finding_mask: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """HU of body (fat, soft tissue), spine, trachea, lungs and findings; air around."""
    body = (x / 170.0) ** 2 + (y / 115.0) ** 2
    hu = np.full(lobe_mask.shape, AIR_HU, np.float32)
    hu[body <= 1.0] = FAT_HU
    hu[body <= 0.85] = SOFT_HU
    hu[x**2 + (y - 80.0) ** 2 <= 15.0**2] = BONE_HU
    hu[((x - 4.0) ** 2 + y**2 <= 8.0**2) & (z > 20.0)] = AIR_HU
    hu[lobe_mask > 0] = LUNG_HU
    for finding, value in FINDING_HU.items():
        hu[finding_mask == finding] = value
    return hu


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What the phantom holds, on its source grid in the order of the volume `read_ct` makes of it.

    affine: (slice, row, column) to LPS mm. lobe_mask, finding_mask: uint8, axes (slice, row, column).
    left_lung_ml, right_lung_ml: exact, of the whole shapes. findings_ml: exact per kind.
    """

    affine: NDArray[np.float64]
    lobe_mask: NDArray[np.uint8]
    finding_mask: NDArray[np.uint8]
    left_lung_ml: float
    right_lung_ml: float
    findings_ml: dict[Opacity, float]

    @property
    def voxel_ml(self) -> float:
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000

    def lobe_ml(self, lobe: Lobe) -> float:
        """Volume of one lobe, from the voxels of its mask."""
        return float(np.count_nonzero(self.lobe_mask == lobe)) * self.voxel_ml

    @property
    def right_lung_mask(self) -> NDArray[np.bool_]:
        return np.isin(self.lobe_mask, RIGHT_LOBES)

    @property
    def left_lung_mask(self) -> NDArray[np.bool_]:
        return np.isin(self.lobe_mask, LEFT_LOBES)
