"""Where a tumour may lie, on phantoms and on real CTs with outlined tumours."""

from typing import Any

import highdicom as hd
import numpy as np
import pytest
from helpers.shared_data import shared_data
from numpy.typing import NDArray
from scipy import ndimage

from models.lung_opacity import data as labelled
from service.errors import Reason, Rejected
from service.imaging.harmonise import PlaneGrid, resample_like, to_plane_grid
from service.imaging.lung_field import MARGIN_MM, lung_field

SHAPE, SLICE_MM, PIXEL_MM = (70, 240, 240), 4.0, 1.7
Z, ROW, COLUMN = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
X, Y = (COLUMN - 119.5) * PIXEL_MM, (ROW - 119.5) * PIXEL_MM
Z_MM = Z * SLICE_MM
SPINE_MM = 9.0
"""The spine of the phantom lies so far to the left: the patient lies askew, his lungs with it."""

Mask = NDArray[np.bool_]


def lung(side: int) -> Mask:
    """-1: right, 1: left."""
    return ((X - SPINE_MM - side * 70) / 50) ** 2 + (Y / 75) ** 2 + ((Z_MM - 110) / 90) ** 2 < 1


def phantom(*, without: int = 0, gas_mm: float | None = None) -> hd.Volume:
    """A chest on a couch. without: the lung that is full of fluid. gas_mm: where a bowel full of gas lies."""
    body = ((X - SPINE_MM) / 165) ** 2 + (Y / 115) ** 2 + 0 * Z < 1
    hu = np.where(body, 40.0, -1000.0)
    for side in (-1, 1):
        hu[lung(side)] = 30.0 if side == without else -850.0
    hu[((X - SPINE_MM) ** 2 + (Y - 88) ** 2 < 18**2) & (Z >= 0)] = 500.0
    hu[((X - SPINE_MM - 10) ** 2 + (Y + 100) ** 2 < 9**2) & (Z >= 0)] = 900.0  # a sternum, off the middle
    if gas_mm is not None:
        hu[(X / 90) ** 2 + (Y / 50) ** 2 + ((Z_MM - gas_mm) / 25) ** 2 < 1] = -1000.0
    hu[:, 190:194] = 200.0  # the couch, which touches the back
    return hd.Volume.from_components(
        np.rint(hu).astype(np.int16),
        spacing=(SLICE_MM, PIXEL_MM, PIXEL_MM),
        coordinate_system="PATIENT",
        position=(0.0, 0.0, 0.0),
        direction=np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]]).flatten().tolist(),
    )


def test_it_holds_both_lungs_and_little_else() -> None:
    field = lung_field(phantom())
    both = lung(-1) | lung(1)
    assert field.inside[both].all()
    plane = field.inside[27]
    margin = ndimage.distance_transform_edt(~both[27], sampling=PIXEL_MM)
    assert margin[plane].max() <= MARGIN_MM + 3 * PIXEL_MM
    assert not field.inside[:, 190:].any(), "the couch"


def test_it_reaches_a_margin_above_and_below_the_lungs_and_no_further() -> None:
    field = lung_field(phantom())
    chest, reach = field.chest, int(MARGIN_MM / SLICE_MM)
    assert field.slices == slice(chest.start - reach, chest.stop + reach)
    areas = field.inside.sum((1, 2))
    assert areas[chest.start - reach] < areas[chest.start - 1] < areas[chest.start]
    body = ((X - SPINE_MM) / 165) ** 2 + (Y / 115) ** 2 < 1
    assert not field.inside[chest.stop :][:, ~body[0]].any()


@pytest.mark.parametrize("side", [-1, 1])
def test_a_lung_without_air_is_kept_by_the_other_ones_mirror_image(side: int) -> None:
    field = lung_field(phantom(without=side))
    assert field.inside[lung(side)].mean() > 0.999
    assert np.abs((field.spine - 119.5) * PIXEL_MM - SPINE_MM).max() < 4


@pytest.mark.parametrize("wall_mm", [4.0, 8.0])
def test_a_thin_chest_wall_all_round_is_no_bridge_to_the_couch(wall_mm: float) -> None:
    volume = phantom()
    both = lung(-1) | lung(1)
    near = np.stack([ndimage.distance_transform_edt(~plane, sampling=PIXEL_MM) <= wall_mm for plane in both])
    between = (np.abs(X - SPINE_MM) < 40) & (np.abs(Y) < 80)
    hu = np.where(near | between | (volume.array > 400), volume.array, -1000)
    ribs = near & ~both & ((ROW % 20 < 3) | (COLUMN % 20 < 3))
    hu[ribs] = 400
    hu[:, 190:194] = 200
    inside = lung_field(volume.with_array(hu.astype(np.int16))).inside
    assert inside[lung(-1) | lung(1)].all()
    assert not inside[:, 190:].any(), "the couch"


@pytest.mark.parametrize("outside_hu", [None, -1024])
def test_a_lung_that_the_image_cuts_is_found_as_far_as_it_is_there(outside_hu: int | None) -> None:
    """outside_hu: None: the image ends; else a circle was imaged, and there is this value around it."""
    volume = phantom()
    there: Mask = lung(-1) | lung(1)
    if outside_hu is None:
        middle: Any = (slice(None), slice(None), slice(72, 168))
        volume, there = volume[middle], there[middle]
    else:
        imaged = (X - SPINE_MM) ** 2 + Y**2 + 0 * Z < 95**2
        volume, there = volume.with_array(np.where(imaged, volume.array, outside_hu).astype(np.int16)), there & imaged
    assert there.sum() < 0.8 * (lung(-1) | lung(1)).sum()
    assert lung_field(volume).inside[there].mean() > 0.999


def test_lungs_of_severe_emphysema_are_no_gas() -> None:
    volume = phantom(gas_mm=240.0)
    thin = np.where(volume.array == -850, -960, volume.array)
    noise = np.random.default_rng(0).normal(0.0, 40.0, thin.shape)
    noisy = np.maximum(thin + noise, -1024).astype(np.int16)
    field = lung_field(volume.with_array(noisy))
    assert field.chest == lung_field(phantom()).chest
    assert field.inside[lung(-1) | lung(1)].all()


def test_foam_within_the_couch_is_no_lung() -> None:
    volume = phantom()
    hu = volume.array.copy()
    hu[:, 194:214, 40:200] = -900
    hu[:, 214:218] = hu[:, 190:218, 36:40] = hu[:, 190:218, 200:204] = 200
    field = lung_field(volume.with_array(hu))
    assert field.chest == lung_field(phantom()).chest
    assert not field.inside[:, 194:].any()


def test_gas_of_the_bowel_makes_no_chest() -> None:
    field = lung_field(phantom(gas_mm=240.0))
    assert field.chest == lung_field(phantom()).chest
    assert not field.inside[field.chest.stop + int(MARGIN_MM / SLICE_MM) :].any()


def test_without_any_lung_it_is_said() -> None:
    dense = phantom(gas_mm=200.0)
    hu = np.where(lung(-1) | lung(1), 30, dense.array).astype(np.int16)
    with pytest.raises(Rejected) as refused:
        lung_field(dense.with_array(hu))
    assert refused.value.refusals[0].reason is Reason.NO_LUNG


@pytest.mark.parametrize(("name", "least"), [("LUNG1-001", 0.998), ("LUNG1-002", 0.995)])
def test_outlined_tumours_that_reach_the_hilum_lie_inside(name: str, least: float) -> None:
    source = labelled.read(shared_data("train/lung1").parent, f"lung1/{name}")
    grid = to_plane_grid(source.hu, PlaneGrid(2.0, 256, None))

    def of(*labels: int) -> Mask:
        mask = np.isin(source.labels, labels).astype(np.uint8) * 255
        return resample_like(source.hu.with_array(mask), grid) >= 128

    field = lung_field(grid)
    assert field.inside[of(3)].mean() > least
    assert field.inside[of(1, 2)].mean() > 0.99
    filled = np.where(ndimage.binary_dilation(of(1), iterations=2), 40, grid.array)
    collapsed = lung_field(grid.with_array(filled.astype(np.int16)))
    before, after = (dict(enumerate(one.spine, one.chest.start)) for one in (field, collapsed))
    moved = [abs(after[number] - column) * 2.0 for number, column in before.items() if number in after]
    assert max(moved) < 10, "the line stays on the spine beside a lung without air"
