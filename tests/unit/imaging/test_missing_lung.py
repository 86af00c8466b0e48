"""What the shape of the lungs adds to them: thick dense tissue at the lung, and nothing else."""

from collections.abc import Callable

import highdicom as hd
import numpy as np
import pytest
from scipy import ndimage

from service.domain.flags import LUNG_ADDED
from service.errors import Rejected
from service.imaging.harmonise import resample_like
from service.imaging.lungs import Lungs
from service.imaging.missing_lung import completed, missing_lung
from service.imaging.side import Side

AFFINE = np.array([[0, 0, 2.0, 0], [0, 2.0, 0, 0], [-2.5, 0, 0, 0], [0, 0, 0, 1.0]])
SHAPE = (50, 80, 120)
VOXEL_ML = 2.0 * 2.0 * 2.5 / 1000.0
LUNG_HU, TISSUE_HU, FAT_HU, BONE_HU = -850, 40, -100, 600
CENTRES = {Side.RIGHT: (25, 40, 30), Side.LEFT: (25, 40, 90)}
"""Centres of the ellipsoid lungs, in voxels."""

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


def test_what_both_shapes_claim_goes_to_the_likelier_lung(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.imaging.missing_lung._LEAST_CONTACT", 0.0)
    middle = ellipsoid((25, 40, 60), (8, 12, 12))
    volume, labels = scene(middle)
    labels[20:30, 14:18, 46:80], labels[20:30, 62:66, 40:74] = Side.RIGHT, Side.LEFT  # lungs that cross the middle
    for likelier in Side:
        told = {side: (WHOLE[side] | middle) * np.uint8(255 if side == likelier else 180) for side in Side}
        found = missing_lung(volume, labels, {side: volume.with_array(lung) for side, lung in told.items()})
        inside = found[middle & (labels == 0)]
        assert (inside == likelier).mean() > 0.5 and set(np.unique(inside)) <= {0, likelier}


def test_an_airway_through_a_mass_stays_out() -> None:
    volume, labels = scene(HILAR)
    airway = np.zeros(SHAPE, np.bool_)
    airway[:, 38:43, 42:47] = True
    volume.array[airway & HILAR] = -1000
    shape = {side: volume.with_array(lung * np.uint8(255)) for side, lung in WHOLE.items()}
    found = missing_lung(volume, labels, shape)
    deep = airway & HILAR & (np.abs(np.arange(SHAPE[0]) - 25) < 5)[:, None, None]
    assert found.any() and not found[deep][volume.array[deep] < -900].all()
    assert (found[airway & HILAR] > 0).mean() < 0.3


def lungs_with_a_gap(source: hd.Volume, mass: Mask) -> tuple[Lungs, Mask]:
    """Lungs as found without `mass` (on the model's grid), and the labels of all that belongs to the right lung."""
    model = hd.Volume(np.zeros(SHAPE, np.uint8), AFFINE, "PATIENT")
    labels = np.zeros(SHAPE, np.uint8)
    for side, lung in WHOLE.items():
        labels[lung & ~mass] = side
    near = ndimage.binary_dilation(mass, iterations=3)
    sure = np.where(near, 150, 255)  # a network that is not sure beside the mass
    soft = np.where(mass | ~WHOLE[Side.RIGHT], 0, sure).astype(np.uint8)
    found = np.zeros(source.spatial_shape, np.uint8)
    found[resample_like(model.with_array(soft), source) >= 128] = Side.RIGHT
    left = resample_like(model.with_array(WHOLE[Side.LEFT] * np.uint8(255)), source) >= 128
    found[left] = Side.LEFT
    truth = resample_like(model.with_array(WHOLE[Side.RIGHT] * np.uint8(255)), source) >= 128
    return Lungs(model.with_array(labels), found, ()), truth


@pytest.mark.parametrize(
    ("orientation", "slice_mm"), [("FPL", 0.4), ("HPL", 1.7), ("FAR", 2.5), ("LPH", 2.5), ("PFL", 2.5)]
)
def test_what_is_added_joins_its_lung_on_the_ct_whatever_its_axes(orientation: str, slice_mm: float) -> None:
    affine = np.array([[0, 0, 1.1, 0.0], [0, 1.1, 0, 0.0], [-slice_mm, 0, 0, 0.0], [0, 0, 0, 1.0]])
    shape = (round(125 / slice_mm), 145, 218)
    noise = np.random.default_rng(0).integers(-900, 100, shape, np.int16)
    source = hd.Volume(noise, affine, "PATIENT").to_patient_orientation(orientation)
    lungs, truth = lungs_with_a_gap(source, HILAR)
    gap = HILAR & WHOLE[Side.RIGHT]
    whole = completed(lungs, np.where(gap, Side.RIGHT, 0).astype(np.uint8), source)
    assert (whole.on_model.array[gap] == Side.RIGHT).all()
    core = ndimage.distance_transform_edt(truth, sampling=source.spacing) > 2.6
    assert (whole.on_source[core] == Side.RIGHT).all(), "no seam between the lung and what was added"
    assert np.array_equal(whole.on_source == Side.LEFT, lungs.on_source == Side.LEFT)
    assert not (whole.on_source[~ndimage.binary_dilation(truth)] == Side.RIGHT).any()
    assert np.array_equal(lungs.on_source > 0, (whole.on_source > 0) & (lungs.on_source > 0)), "nothing is taken away"
    (told,) = whole.flags
    assert told == LUNG_ADDED and told.detail == f"{gap.sum() * VOXEL_ML:.0f} mL."


def test_a_lung_that_is_cut_off_with_what_was_added_is_refused() -> None:
    source = hd.Volume(np.random.default_rng(0).integers(-900, 100, SHAPE, np.int16), AFFINE, "PATIENT")
    lungs, _ = lungs_with_a_gap(source, np.zeros(SHAPE, np.bool_))
    added = np.zeros(SHAPE, np.uint8)
    added[:10, 25:55, 15:45] = Side.RIGHT
    added[lungs.on_model.array > 0] = 0
    with pytest.raises(Rejected, match="top slice"):
        completed(lungs, added, source)
