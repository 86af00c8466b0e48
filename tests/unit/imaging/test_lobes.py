"""Lobes fill the lungs exactly, never overlap and never change sides."""

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray

from service.domain.findings import LEFT_LOBES, RIGHT_LOBES, Lobe
from service.imaging.lobes import lobes_on_source, lung_boxes, present
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


def test_present() -> None:
    assert present(np.array([[[0, 1, 3]], [[4, 5, 5]]], np.uint8)) == {Lobe.RUL, Lobe.RLL, Lobe.LUL, Lobe.LLL}
