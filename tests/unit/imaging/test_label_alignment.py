"""Two label maps on one grid: exactly where they are parts of one lattice, refused where not."""

from collections.abc import Sequence

import highdicom as hd
import numpy as np
import pytest
from helpers.label_files import volume
from hypothesis import given, settings
from hypothesis import strategies as st

from service.imaging.labels import Aligned, Labels, align, alone
from service.imaging.lattice import GridMismatch, placement

RNG = np.random.default_rng(0)
ARRAY = RNG.integers(0, 3, (6, 8, 10)).astype(np.uint8)
SPACING_MM = (2.5, 0.7, 0.9)


def labels(source: hd.Volume, whole: bool = True, oriented: bool = True) -> Labels:
    def mask(numbers: Sequence[int]) -> np.ndarray:
        return np.isin(source.array, numbers)

    return Labels(source.get_geometry(), {1: (), 2: ()}, mask, whole, oriented)


def moved(source: hd.Volume, by_mm: Sequence[float]) -> hd.Volume:
    affine = source.affine.copy()
    affine[:3, 3] += by_mm
    return hd.Volume(source.array, affine, "PATIENT")


def agree(aligned: Aligned) -> bool:
    masks = [(aligned.pred([n]), aligned.truth([n])) for n in (1, 2)]
    assert all(p.shape == t.shape == aligned.grid.spatial_shape for p, t in masks)
    return all(np.array_equal(p, t) for p, t in masks)


@settings(deadline=None, max_examples=50)
@given(
    axes=st.permutations([0, 1, 2]), flips=st.sets(st.integers(0, 2)), start=st.integers(0, 3), stop=st.integers(4, 6)
)
def test_axis_order_direction_and_left_out_slices_make_no_difference(
    axes: list[int], flips: set[int], start: int, stop: int
) -> None:
    array = ARRAY.copy()
    array[:start] = array[stop:] = 0
    truth = volume(array, SPACING_MM)
    pred = truth[start:stop].permute_spatial_axes(axes)
    pred = pred.flip_spatial(sorted(flips)) if flips else pred
    aligned = align(labels(pred, whole=False), labels(truth), resample=False)
    assert agree(aligned) and aligned.grid.spatial_shape == (6, 8, 10)
    other_way = align(labels(truth), labels(pred, whole=False), resample=False)
    assert agree(other_way) and other_way.grid.spatial_shape == (6, 8, 10), "only the prediction's grid is the image's"


def test_two_segmentations_of_different_slices_are_joined() -> None:
    """Nothing that only one of them found may be lost."""
    full = volume(ARRAY, SPACING_MM)
    aligned = align(labels(full[0:3], whole=False), labels(full[2:6].flip_spatial(0), whole=False), resample=False)
    assert aligned.pred([1, 2]).sum() == np.count_nonzero(ARRAY[0:3])
    assert aligned.truth([1, 2]).sum() == np.count_nonzero(ARRAY[2:6])
    both = aligned.pred([1, 2]) & aligned.truth([1, 2])
    assert both.sum() == np.count_nonzero(ARRAY[2:3])


def test_spacing_and_slice_axis_are_those_of_the_grid() -> None:
    truth = volume(ARRAY, SPACING_MM)
    aligned = align(labels(truth), labels(truth.permute_spatial_axes([1, 2, 0])), resample=False)
    assert aligned.spacing_mm == pytest.approx((0.7, 0.9, 2.5)) and aligned.slice_axis == 2


@pytest.mark.parametrize(
    "other",
    [
        moved(volume(ARRAY, SPACING_MM), (0.3, 0, 0)),
        moved(volume(ARRAY, SPACING_MM), (0, 0, 2.5)),
        volume(ARRAY, (2.5, 0.7, 0.91)),
        volume(ARRAY, (5.0, 0.7, 0.9)),
        volume(ARRAY[:5], SPACING_MM),
    ],
    ids=["a third of a voxel", "a slice", "spacing", "every second slice", "a slice less"],
)
def test_another_grid_is_refused_with_both_grids_in_words(other: hd.Volume) -> None:
    with pytest.raises(GridMismatch, match="do not lie on the same voxels") as refused:
        align(labels(other), labels(volume(ARRAY, SPACING_MM)), resample=False)
    assert "6 x 8 x 10 voxels of 2.5 x 0.7 x 0.9 mm" in str(refused.value)


def test_rounded_headers_are_no_other_grid() -> None:
    truth = volume(ARRAY, SPACING_MM)
    affine = np.round(truth.affine, 3)
    assert agree(align(labels(hd.Volume(ARRAY, affine, "PATIENT")), labels(truth), resample=False))


def test_a_segmentation_beyond_the_image_is_refused_only_where_it_labels_something() -> None:
    full = volume(ARRAY, SPACING_MM)
    with pytest.raises(GridMismatch, match="outside the image"):
        align(labels(full, whole=False), labels(full[1:]), resample=False)
    cleared = ARRAY.copy()
    cleared[0] = 0
    assert agree(align(labels(volume(cleared, SPACING_MM), whole=False), labels(full[1:]), resample=False))


def test_resampling_takes_the_nearest_voxel_and_says_so() -> None:
    truth = volume(ARRAY, SPACING_MM)
    fine = hd.Volume(np.kron(ARRAY, np.ones((1, 2, 2), np.uint8)), _halved(truth), "PATIENT")
    aligned = align(labels(fine), labels(truth), resample=True)
    assert agree(aligned)
    assert aligned.notes == ("The prediction was resampled onto the truth's grid by nearest neighbour.",)
    nudged = align(labels(moved(truth, (0.3, -0.2, 1.0))), labels(truth), resample=True)
    assert agree(nudged), "each voxel's nearest is still the same, at the edges too"


def test_what_resampling_loses_is_said() -> None:
    truth = volume(ARRAY, SPACING_MM)
    aligned = align(labels(moved(truth, (0.1, 0, -5.0))), labels(truth), resample=True)
    lost_ml = np.count_nonzero(ARRAY[-2:]) * np.prod(SPACING_MM) / 1000
    assert aligned.notes[-1].startswith(f"{lost_ml:.1f} mL of the prediction lie outside")
    assert np.array_equal(aligned.pred([1])[2:], ARRAY[:-2] == 1)


def test_resampling_onto_a_part_keeps_what_lies_outside_the_part() -> None:
    full = volume(ARRAY, SPACING_MM)
    aligned = align(labels(moved(full, (0.2, 0, 0))), labels(full[2:4], whole=False), resample=True)
    assert aligned.pred([1, 2]).sum() == np.count_nonzero(ARRAY)
    assert aligned.truth([1, 2]).sum() == np.count_nonzero(ARRAY[2:4])


def test_resampling_touches_nothing_that_fits() -> None:
    truth = volume(ARRAY, SPACING_MM)
    aligned = align(labels(truth.flip_spatial(0)), labels(truth), resample=True)
    assert agree(aligned) and aligned.notes == ()


def test_without_orientation_only_the_like_is_compared() -> None:
    one = volume(ARRAY, SPACING_MM)
    aligned = align(labels(one, oriented=False), labels(one, oriented=False), resample=False)
    assert agree(aligned) and "voxel by voxel" in aligned.notes[0]
    with pytest.raises(GridMismatch, match="the prediction does not say how its voxels lie"):
        align(labels(one, oriented=False), labels(one), resample=True)


def test_another_frame_of_reference_is_noted() -> None:
    one = volume(ARRAY, SPACING_MM)
    frames = [hd.Volume(ARRAY, one.affine, "PATIENT", f"1.2.{k}") for k in (1, 2)]
    assert "Frame of Reference" in align(labels(frames[0]), labels(frames[1]), resample=False).notes[0]
    assert align(labels(frames[0]), labels(one), resample=False).notes == ()


def test_no_prediction_is_an_empty_one() -> None:
    aligned = alone(labels(volume(ARRAY, SPACING_MM)))
    assert not aligned.pred([1]).any() and aligned.truth([1]).sum() == np.count_nonzero(ARRAY == 1)


def test_an_oblique_grid_has_no_place_on_a_straight_one() -> None:
    straight, angle = volume(ARRAY, SPACING_MM), np.radians(3)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    oblique = hd.Volume(ARRAY, turn @ straight.affine, "PATIENT")
    assert placement(oblique.get_geometry(), straight.get_geometry()) is None
    assert agree(align(labels(oblique), labels(oblique), resample=False))


def _halved(source: hd.Volume) -> np.ndarray:
    """The affine of the same box with rows and columns of half the size."""
    affine = source.affine.copy()
    affine[:3, 3] -= (affine[:3, 1] + affine[:3, 2]) / 4
    affine[:3, 1:3] /= 2
    return affine
