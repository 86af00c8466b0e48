"""Two clean lungs from a probability, split by the patient's frame; refusals with their names."""

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray

from service.domain.flags import LUNG_AT_EDGE
from service.errors import Reason, Rejected
from service.imaging.lungs import Lungs, Side, find_lungs

SHAPE = (80, 128, 128)
AFFINE = np.array([[0, 0, 3.0, -190.5], [0, 3.0, 0, -190.5], [-3.0, 0, 0, 120.0], [0, 0, 0, 1]])
S, R, C = np.indices(SHAPE)


def ellipsoid(centre: tuple[float, float, float], half: tuple[float, float, float]) -> NDArray[np.bool_]:
    """In voxels, axes (slice, row, column)."""
    inside: NDArray[np.bool_] = sum(((x - c) / h) ** 2 for x, c, h in zip((S, R, C), centre, half, strict=True)) <= 1.0
    return inside


RIGHT = ellipsoid((40, 63, 40), (32, 26, 18))
LEFT = ellipsoid((40, 63, 88), (30, 24, 17))
BODY = ellipsoid((40, 63, 63.5), (400, 45, 55))
NOISE = np.random.default_rng(1).integers(-9, 10, SHAPE)


def model_grid(lungs: NDArray[np.bool_]) -> tuple[hd.Volume, hd.Volume]:
    """HU and certain probability on one grid, axes (slice to F, row to P, column to L)."""
    hu = np.where(lungs, -850, np.where(BODY, 40, -1024)) + np.where(BODY, NOISE, 0)
    hu = hu.astype(np.int16)
    return hd.Volume(hu, AFFINE, "PATIENT"), hd.Volume(lungs.astype(np.uint8) * 255, AFFINE, "PATIENT")


def found(lungs: NDArray[np.bool_]) -> Lungs:
    hu, probability = model_grid(lungs)
    return find_lungs(hu, probability, hu)


def refusal(lungs: NDArray[np.bool_]) -> Reason:
    with pytest.raises(Rejected) as caught:
        found(lungs)
    (only,) = caught.value.refusals
    assert only.detail
    return only.reason


def test_two_lungs_are_told_apart_and_kept_exactly() -> None:
    lungs = found(RIGHT | LEFT)
    assert np.array_equal(lungs.on_source == Side.RIGHT, RIGHT)
    assert np.array_equal(lungs.on_source == Side.LEFT, LEFT)
    assert np.array_equal(lungs.on_model.array, lungs.on_source)
    assert lungs.flags == ()


@pytest.mark.parametrize("orientation", ["HAR", "HPL", "FPR", "FLP"])
def test_right_is_the_patients_right_in_every_array_order(orientation: str) -> None:
    hu, probability = model_grid(RIGHT | LEFT)
    source = hu.to_patient_orientation(orientation)
    truth = probability.with_array(RIGHT.astype(np.uint8)).to_patient_orientation(orientation).array > 0
    assert np.array_equal(find_lungs(hu, probability, source).on_source == Side.RIGHT, truth)


def test_lungs_that_touch_are_parted_at_the_junction() -> None:
    junction = ellipsoid((36, 42, 63.5), (14, 4, 16))
    lungs = found(RIGHT | LEFT | junction)
    assert np.count_nonzero((lungs.on_source == Side.RIGHT) & RIGHT) > 0.99 * RIGHT.sum()
    assert np.count_nonzero((lungs.on_source == Side.LEFT) & LEFT) > 0.99 * LEFT.sum()
    gained = (lungs.on_source > 0) != (RIGHT | LEFT | junction)
    assert gained.sum() < 20  # single voxels in the corner between lung and junction


def test_holes_are_lung_and_bowel_gas_is_not() -> None:
    consolidation = ellipsoid((50, 70, 40), (8, 9, 9))
    bowel = ellipsoid((76, 50, 90), (3, 12, 12))
    lungs = found((RIGHT & ~consolidation) | LEFT | bowel)
    assert np.array_equal(lungs.on_source == Side.RIGHT, RIGHT)
    assert not lungs.on_source[bowel & ~LEFT].any()


def test_air_outside_the_body_never_counts() -> None:
    hu, probability = model_grid(RIGHT | LEFT)
    probability.array[:, :12] = 255
    lungs = find_lungs(hu, probability, hu)
    assert np.array_equal(lungs.on_source > 0, RIGHT | LEFT)


def test_a_lung_at_the_edge_of_a_narrow_field_of_view_stays() -> None:
    hu, probability = model_grid(RIGHT | LEFT)
    source = hu.with_array(hu.array.copy())
    hu.array[:, :, :28] = -1024
    probability.array[:, :, :28] = 0
    lungs = find_lungs(hu, probability, source)
    assert np.array_equal(lungs.on_source[:, :, 28:] > 0, (RIGHT | LEFT)[:, :, 28:])


def test_surface_is_interpolated_between_grids() -> None:
    """On a grid twice as fine each lung's volume stays within 1 %."""
    hu, probability = model_grid(RIGHT | LEFT)
    halved = AFFINE @ np.array([[1, 0, 0, 0], [0, 0.5, 0, -0.25], [0, 0, 0.5, -0.25], [0, 0, 0, 1]])
    fine = hd.Volume(hu.array.repeat(2, 1).repeat(2, 2), halved, "PATIENT")
    on_source = find_lungs(hu, probability, fine).on_source
    assert np.count_nonzero(on_source == Side.RIGHT) / 4 == pytest.approx(RIGHT.sum(), rel=0.01)


@pytest.mark.parametrize(
    "lungs",
    [
        np.zeros(SHAPE, np.bool_),
        RIGHT,
        RIGHT | ellipsoid((40, 63, 88), (8, 8, 8)),
        ellipsoid((40, 63, 63.5), (32, 26, 18)),
        ellipsoid((40, 63, 42), (14, 12, 12)) | ellipsoid((40, 63, 86), (14, 12, 12)),
    ],
    ids=["none", "one", "one and a bubble", "in the middle", "too small together"],
)
def test_no_lung(lungs: NDArray[np.bool_]) -> None:
    assert refusal(lungs) == Reason.NO_LUNG


@pytest.mark.parametrize("end", [0, -1])
def test_a_lung_cut_off_at_an_end_is_truncated(end: int) -> None:
    lungs = RIGHT | LEFT
    first, last = (25, 80) if end == 0 else (0, 55)
    hu, probability = (volume[first:last] for volume in model_grid(lungs))
    assert lungs[first:last][end].any()
    with pytest.raises(Rejected) as caught:
        find_lungs(hu, probability, hu)
    assert [refused.reason for refused in caught.value.refusals] == [Reason.TRUNCATED]


def test_a_little_lung_in_the_end_slice_is_only_flagged() -> None:
    tip = ellipsoid((0, 63, 40), (9, 6, 4))
    assert found(RIGHT | LEFT | tip).flags == (LUNG_AT_EDGE,)
