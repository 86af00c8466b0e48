"""What the shape of the lungs adds to them: thick dense tissue at the lung, and nothing else."""

from collections.abc import Callable

import highdicom as hd
import numpy as np
import pytest

from service.imaging.missing_lung import missing_lung
from service.imaging.side import Side

AFFINE = np.array([[0, 0, 2.0, 0], [0, 2.0, 0, 0], [-2.5, 0, 0, 0], [0, 0, 0, 1.0]])
SHAPE = (50, 80, 120)
VOXEL_ML = 2.0 * 2.0 * 2.5 / 1000.0
LUNG_HU, TISSUE_HU, FAT_HU, BONE_HU = -850, 40, -100, 600
CENTRES = {Side.RIGHT: (25, 40, 30), Side.LEFT: (25, 40, 90)}
"""Of ellipsoid lungs, in voxels."""

Mask = np.ndarray


def ellipsoid(centre: tuple[float, ...], half: tuple[float, ...]) -> Mask:
    axes = np.ogrid[tuple(slice(0, size) for size in SHAPE)]
    return sum(((a - c) / h) ** 2 for a, c, h in zip(axes, centre, half, strict=True)) < 1.0


WHOLE = {side: ellipsoid(centre, (20, 28, 20)) for side, centre in CENTRES.items()}
HILAR = ellipsoid((25, 40, 44), (9, 11, 11))
"""A mass at the right hilum, of 4.5 cm, most of it in the lung."""


def scene(mass: Mask, hu: int = TISSUE_HU, found: Callable[[Mask], Mask] = np.zeros_like) -> tuple[hd.Volume, Mask]:
    """HU, and the labels that were found: both lungs without `mass`, but with what `found` takes of it."""
    image, labels = np.full(SHAPE, TISSUE_HU, np.int16), np.zeros(SHAPE, np.uint8)
    for side, lung in WHOLE.items():
        image[lung] = LUNG_HU
        labels[lung & (~mass | found(mass))] = side
    image[mass] = hu
    return hd.Volume(image, AFFINE, "PATIENT"), labels


def added(
    mass: Mask, hu: int = TISSUE_HU, told: dict[Side, Mask] = WHOLE, found: Callable[[Mask], Mask] = np.zeros_like
) -> Mask:
    volume, labels = scene(mass, hu, found)
    shape = {side: volume.with_array(lung * np.uint8(255)) for side, lung in told.items()}
    return missing_lung(volume, labels, shape)


def test_a_mass_at_the_hilum_belongs_to_its_lung_and_the_mediastinum_to_none() -> None:
    result = added(HILAR)
    inside = HILAR & WHOLE[Side.RIGHT]
    assert inside.sum() * VOXEL_ML > 5.0
    assert (result[inside] == Side.RIGHT).mean() > 0.9
    assert not result[~WHOLE[Side.RIGHT]].any()


def test_consolidation_at_the_wall_belongs_to_its_lung() -> None:
    wall = WHOLE[Side.LEFT] & (np.arange(SHAPE[2]) > 97)
    result = added(wall, told=WHOLE | {Side.RIGHT: np.zeros(SHAPE, np.bool_)})
    assert not result.any(), "it lies beyond the box of what was found"
    back = wall & (np.arange(SHAPE[0]) > 25)[:, None, None]
    result = added(back)
    assert (result[back] == Side.LEFT).mean() > 0.8 and not (result == Side.RIGHT).any()


def test_a_mass_of_which_the_network_found_lumps_is_filled() -> None:
    lumps = ellipsoid((25, 40, 30), (9, 12, 12))
    mass = ellipsoid((25, 40, 38), (9, 14, 14)) & WHOLE[Side.RIGHT]
    before = scene(mass, found=lambda there: there & lumps)[1][mass] > 0
    after = before | (added(mass, found=lambda there: there & lumps)[mass] > 0)
    assert before.mean() < 0.5 and after.mean() > 0.7


@pytest.mark.parametrize(
    ("mass", "hu"),
    [
        (ellipsoid((25, 40, 46), (2, 3, 3)), TISSUE_HU),  # less than 5 mL: a vessel
        (WHOLE[Side.RIGHT] & ~ellipsoid(CENTRES[Side.RIGHT], (18, 26, 18)), TISSUE_HU),  # a border that is off
        (HILAR, FAT_HU),
        (HILAR, BONE_HU),
    ],
)
def test_what_is_small_thin_fat_or_bone_is_left_out(mass: Mask, hu: int) -> None:
    assert not added(mass, hu).any()


def test_what_lies_away_from_the_lung_is_left_out() -> None:
    far = {**WHOLE, Side.RIGHT: WHOLE[Side.RIGHT] | ellipsoid((25, 40, 60), (8, 8, 5))}
    assert not added(np.zeros(SHAPE, np.bool_), told=far).any()


def test_nothing_is_added_twice() -> None:
    both = dict.fromkeys(Side, WHOLE[Side.RIGHT] | WHOLE[Side.LEFT])
    volume, labels = scene(HILAR)
    result = added(HILAR, told=both)
    assert not (result[labels > 0]).any() and volume.spatial_shape == result.shape
