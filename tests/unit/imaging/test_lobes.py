"""Lobes fill the lungs exactly, never overlap and never change sides."""

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray

from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES, Lobe
from service.imaging.lobes import lobes_in_lungs, lobes_on_source, lung_boxes
from service.imaging.lungs import Lungs, Side

SIZE = 16
AFFINE = np.array([[0, 0, 1.5, -60.0], [0, 1.5, 0, -50.0], [-3.0, 0, 0, 90.0], [0, 0, 0, 1]])


def lungs(orientation: str) -> tuple[Lungs, hd.Volume]:
    """Two boxes of lung touching the image's border, with a source grid in any axis order."""
    sides = np.zeros((30, 60, 80), np.uint8)
    sides[2:28, 5:55, 0:36] = Side.RIGHT
    sides[4:30, 5:55, 44:80] = Side.LEFT
    on_model = hd.Volume(sides, AFFINE, "PATIENT")
    source = on_model.to_patient_orientation(orientation)
    return Lungs(on_model, source.array, ()), source


def upper_and_lower(lobes: int) -> NDArray[np.uint8]:
    """Probabilities that stack the lobes from head to feet."""
    probability = np.zeros((lobes, SIZE, SIZE, SIZE), np.uint8)
    for k in range(SIZE):
        probability[min(k * lobes // SIZE, lobes - 1), k] = 255
    return probability


@pytest.mark.parametrize("orientation", ["FPL", "HAR", "HPL"])
def test_every_lung_voxel_gets_one_lobe_of_its_side(orientation: str) -> None:
    both, source = lungs(orientation)
    boxes = lung_boxes(both.on_model, SIZE)
    labels = lobes_on_source({Side.RIGHT: upper_and_lower(3), Side.LEFT: upper_and_lower(2)}, boxes, both, source)
    assert set(np.unique(labels[both.on_source == Side.RIGHT])) == set(RIGHT_LOBES)
    assert set(np.unique(labels[both.on_source == Side.LEFT])) == set(LEFT_LOBES)
    assert not labels[both.on_source == 0].any()
    z = (source.affine @ np.array([*np.indices(labels.shape).reshape(3, -1), np.ones(labels.size)]))[2]
    height = z.reshape(labels.shape)
    assert height[labels == Lobe.RUL].min() > height[labels == Lobe.RML].max()
    assert height[labels == Lobe.RML].min() > height[labels == Lobe.RLL].max()
    assert height[labels == Lobe.LUL].min() > height[labels == Lobe.LLL].max()


def test_boxes_hold_each_lung_and_nothing_of_the_other() -> None:
    both, _ = lungs("FPL")
    boxes = lung_boxes(both.on_model, SIZE)
    assert all(box.spatial_shape == (SIZE, SIZE, SIZE) for box in boxes.values())
    assert boxes[Side.RIGHT].center_position[0] < boxes[Side.LEFT].center_position[0]
    for box in boxes.values():
        assert (box.array[4:12, 4:12, 4:12] == 255).all()
        assert box.array[0].max() < 128


def test_what_slices_say_fills_each_lung_with_its_own_lobes() -> None:
    """Left lobes said inside the right lung do not count; where nothing counts, the nearest voxel that does decides."""
    both, source = lungs("FPL")
    said = np.zeros((len(Lobe), *both.on_model.spatial_shape), np.uint8)
    said[Lobe.RUL - 1, :12, :, :36] = 200
    said[Lobe.RLL - 1, 18:, :, :36] = 200  # nothing between, and no middle lobe
    said[Lobe.LUL - 1, :, :30, :] = 255  # reaches over the right lung
    said[Lobe.LLL - 1, :, 30:, 40:] = 130
    labels = lobes_on_source(*lobes_in_lungs(said, both.on_model), both, source)
    right, left = (np.where(both.on_source == side, labels, 0) for side in Side)
    assert np.array_equal(labels > 0, both.on_source > 0)
    assert np.array_equal(np.unique(right[2:15]), [0, Lobe.RUL])
    assert np.array_equal(np.unique(right[15:]), [0, Lobe.RLL]), "the gap is shared at its middle"
    assert np.array_equal(np.unique(left[:, :30]), [0, Lobe.LUL])
    assert np.array_equal(np.unique(left[:, 30:]), [0, Lobe.LLL])


def test_a_lung_of_which_slices_say_nothing_has_lobes_missing() -> None:
    both, source = lungs("FPL")
    said = np.zeros((len(Lobe), *both.on_model.spatial_shape), np.uint8)
    said[Lobe.LUL - 1], said[Lobe.LLL - 1, :, 30:] = 127, 128  # LUL alone is less probable than none
    found = lobes_on_source(*lobes_in_lungs(said, both.on_model), both, source)
    assert set(np.unique(found)) == {0, Lobe.RUL, Lobe.LLL}


def test_in_thin_slices_no_border_of_lobes_moves_by_more_than_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each slice of 3 mm as ten; every lung voxel lies in one lobe."""
    both, source = lungs("FPL")
    thin_affine = source.affine @ np.diag([0.1, 1.0, 1.0, 1.0])
    thin_affine[:3, 3] -= 0.45 * source.affine[:3, 0]
    thin = hd.Volume(source.array.repeat(10, axis=0), thin_affine, "PATIENT")
    boxes = lung_boxes(both.on_model, SIZE)
    said = {Side.RIGHT: upper_and_lower(3), Side.LEFT: upper_and_lower(2)}
    found = lobes_on_source(said, boxes, Lungs(both.on_model, thin.array, ()), thin)
    monkeypatch.setattr("service.imaging.harmonise.THIN_MM", 0.01)
    exact = lobes_on_source(said, boxes, Lungs(both.on_model, thin.array, ()), thin)
    assert np.array_equal(found > 0, thin.array > 0) and not np.array_equal(found, exact)
    for lobe in Lobe:
        per_slice = [np.count_nonzero(labels == lobe, axis=(1, 2)) for labels in (found, exact)]
        assert np.abs(np.diff(per_slice, axis=0)).sum() <= 2 * per_slice[1].max()
