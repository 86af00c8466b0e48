"""The way onto the model's grid: orientation, centre, padding, smoothing; and the box around a lung."""

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk

from service.imaging.harmonise import (
    AIR_HU,
    PlaneGrid,
    reach,
    resample_like,
    slices_in_one,
    smoothed,
    thicker,
    to_box,
    to_plane_grid,
    to_spacing,
)

GRID = PlaneGrid(spacing_mm=2.0, size=64)


def body(shape: tuple[int, int, int] = (5, 60, 80), pixel_mm: float = 1.0) -> hd.Volume:
    """Soft tissue in the middle of air; axial, head first, supine; the patient's left half is denser."""
    array = np.full(shape, -1000.0, np.float32)
    rows, columns = shape[1:]
    array[:, rows // 4 : -rows // 4, columns // 4 : -columns // 4] = 40.0
    array[:, rows // 4 : -rows // 4, columns // 2 : -columns // 4] = 300.0
    affine = np.array([[0, 0, pixel_mm, -20.0], [0, pixel_mm, 0, 7.0], [-3.0, 0, 0, 100.0], [0, 0, 0, 1]])
    return hd.Volume(array, affine, "PATIENT", "1.2.3")


def test_grid_shape_type_and_frame_of_reference() -> None:
    moved = to_plane_grid(body(), GRID)
    assert moved.array.dtype == np.int16
    assert moved.spatial_shape == (5, 64, 64)
    assert moved.spacing == pytest.approx((3.0, 2.0, 2.0))
    assert moved.frame_of_reference_uid == "1.2.3"


def test_the_body_is_centred_wherever_the_table_puts_it() -> None:
    volume = body()
    shifted = volume.with_array(np.roll(volume.array, (7, -11), (1, 2)))
    found, expected = to_plane_grid(shifted, GRID).array, to_plane_grid(volume, GRID).array
    assert np.array_equal(found.clip(-900), expected.clip(-900))  # clipped: air of the image, air around it


def test_air_surrounds_a_small_field_of_view() -> None:
    moved = to_plane_grid(body(), GRID).array
    assert (moved[:, 0] == AIR_HU).all()
    assert (moved[:, :, -1] == AIR_HU).all()


def test_a_volume_of_air_is_centred_on_the_image() -> None:
    volume = body().with_array(np.full((5, 60, 80), -1000.0, np.float32))
    middle = to_plane_grid(volume, GRID).center_position
    assert middle == pytest.approx(volume.center_position, abs=1e-6)


@pytest.mark.parametrize("orientation", ["FPL", "HAR", "HPL", "FAL", "PHL", "LPH"])
def test_left_stays_left_in_every_array_order(orientation: str) -> None:
    volume = body()
    moved = to_plane_grid(volume.to_patient_orientation(orientation), GRID)
    assert np.array_equal(moved.array, to_plane_grid(volume, GRID).array)
    assert moved.array[2, 32, 40] == 300  # +column is the patient's left
    assert moved.array[2, 32, 24] == 40


def test_fine_noise_is_averaged_and_not_sampled() -> None:
    noise = np.random.default_rng(0).normal(0.0, 100.0, (4, 256, 256)).astype(np.float32)
    volume = hd.Volume(noise, np.diag([-3.0, 0.5, 0.5, 1.0])[[2, 1, 0, 3]], "PATIENT")
    inner = to_plane_grid(volume, GRID).array[:, 12:-12, 12:-12]
    assert inner.std() < 45.0


def test_resampling_keeps_the_type_and_gives_zero_outside() -> None:
    volume = body().with_array(np.full((5, 60, 80), 200, np.uint8))
    larger = volume.pad([(1, 1), (10, 10), (10, 10)])
    back = resample_like(volume, larger)
    assert back.dtype == np.uint8
    assert np.array_equal(back > 0, larger.array > 0)


@pytest.mark.parametrize(("size", "shape"), [(16, (16, 16, 16)), ((8, 30, 100), (8, 30, 100))])
def test_a_box_spans_exactly_the_volume(size: int | tuple[int, int, int], shape: tuple[int, ...]) -> None:
    volume = body()
    box = to_box(volume.with_array(np.full((5, 60, 80), 255, np.uint8)), size)
    assert box.spatial_shape == shape
    assert (box.array == 255).all()
    assert box.physical_extent == pytest.approx(volume.physical_extent)
    assert box.center_position == pytest.approx(volume.center_position)


@pytest.mark.parametrize("pixel_mm", [(0.7, 0.7), (0.5, 0.9), (2.5, 1.0)])
def test_the_low_pass_is_that_of_simpleitk_bit_for_bit(pixel_mm: tuple[float, float]) -> None:
    noise = np.random.default_rng(1).normal(-500.0, 400.0, (3, 40, 50)).astype(np.float32)
    affine = np.array([[0, 0, pixel_mm[1], 0], [0, pixel_mm[0], 0, 0], [-3.0, 0, 0, 0], [0, 0, 0, 1]])
    volume = hd.Volume(noise, affine, "PATIENT")
    variance = [max(0.0, (2.0**2 - s**2) / 12.0) for s in pixel_mm]
    expected = sitk.DiscreteGaussian(volume.to_simpleitk(), [0.0, *variance], 9, 0.01, True)
    assert np.array_equal(smoothed(volume, 2.0), sitk.GetArrayFromImage(expected).transpose(2, 1, 0))


@pytest.mark.parametrize("orientation", ["FPL", "HAR", "LPF"])
def test_outside_its_reach_a_part_leaves_nothing(orientation: str) -> None:
    fine = hd.Volume(np.zeros((12, 40, 50), np.uint8), np.diag([2.0, 1.1, 1.1, 1.0]), "PATIENT")
    source = fine.to_patient_orientation(orientation)
    coarse = hd.Volume(np.zeros((12, 20, 25), np.uint8), np.diag([2.0, 2.4, 2.4, 1.0]), "PATIENT")
    one = np.zeros(coarse.spatial_shape, np.uint8)
    one[3:5, 7:9, 4:6] = 255
    there = reach(coarse[3:5, 7:9, 4:6], source)
    left = resample_like(coarse.with_array(one), source)
    assert left[there].any()
    assert left[there].astype(int) == pytest.approx(resample_like(coarse.with_array(one), source[there]), abs=1)
    left[there] = 0
    assert not left.any()
    assert 1 < source[there].array.size < 0.05 * source.array.size


@pytest.mark.parametrize(
    ("distance_mm", "least_mm", "count"),
    [(2.5, None, 1), (2.5, 2.5, 1), (2.499, 2.5, 1), (2.0, 2.5, 2), (1.25, 2.5, 2), (0.625, 2.5, 4), (5.0, 2.5, 1)],
)
def test_thin_slices_are_averaged_until_they_are_far_enough_apart(
    distance_mm: float, least_mm: float | None, count: int
) -> None:
    assert slices_in_one(distance_mm, least_mm) == count


def test_averaged_slices_lie_in_the_middle_of_what_they_average() -> None:
    volume = body((5, 60, 80))
    ramp = volume.with_array(volume.array + np.arange(5, dtype=np.float32)[:, None, None])
    moved = thicker(ramp, 2)
    assert moved.spatial_shape == (3, 60, 80)
    assert moved.spacing == pytest.approx((6.0, 1.0, 1.0))
    assert moved.array[:, 0, 0] == pytest.approx([-999.5, -997.5, -996.0])  # the last slice is repeated
    centre = ramp.map_indices_to_reference(np.array([[0.5, 3.0, 4.0]]))
    assert moved.map_indices_to_reference(np.array([[0.0, 3.0, 4.0]])) == pytest.approx(centre)
    assert to_plane_grid(ramp, PlaneGrid(2.0, 64, 6.0)).spatial_shape == (3, 64, 64)


SPACING = (2.5, 1.0, 1.0)


def ramp(pixel_mm: float, slice_mm: float, shape: tuple[int, int, int] = (40, 60, 60)) -> hd.Volume:
    """HU that rise by 2, 3 and 5 per mm to the head, the back and the left, from -800 at 0."""
    affine = np.array([[0, 0, pixel_mm, -9.0], [0, pixel_mm, 0, 7.0], [-slice_mm, 0, 0, 100.0], [0, 0, 0, 1]])
    volume = hd.Volume(np.zeros(shape, np.float32), affine, "PATIENT", "1.2.3")
    return volume.with_array(expected_ramp(volume).astype(np.float32))


def expected_ramp(grid: hd.Volume) -> np.ndarray:
    where = grid.map_indices_to_reference(np.indices(grid.spatial_shape).reshape(3, -1).T)
    return (-800 + where @ [5.0, 3.0, 2.0]).reshape(grid.spatial_shape)


@pytest.mark.parametrize(("pixel_mm", "slice_mm"), [(0.7, 0.6), (0.7, 1.5), (0.9, 2.5), (1.0, 5.0), (1.3, 3.0)])
@pytest.mark.parametrize("orientation", ["FPL", "HAR", "PLF"])
def test_to_spacing_keeps_what_lies_where(pixel_mm: float, slice_mm: float, orientation: str) -> None:
    volume = ramp(pixel_mm, slice_mm)
    moved = to_spacing(volume.to_patient_orientation(orientation), SPACING)
    assert moved.array.dtype == np.int16 and moved.spacing == pytest.approx(SPACING)
    assert moved.get_closest_patient_orientation() == volume.get_closest_patient_orientation()
    inside = (slice(3, -3), slice(8, -8), slice(8, -8))
    assert moved.array[inside] == pytest.approx(expected_ramp(moved)[inside], abs=1.5)
    extent = np.array(volume.spatial_shape) * volume.spacing
    covered = np.array(moved.spatial_shape) * SPACING
    assert (covered >= extent - 0.01).all() and (covered < extent + SPACING).all()


def test_to_spacing_averages_what_is_finer_than_the_new_grid() -> None:
    """A pattern from one pixel to the next is gone, and so is one from slice to slice."""
    volume = ramp(0.5, 1.25)
    checks = (np.indices(volume.spatial_shape).sum(0) % 2) * 800.0
    moved = to_spacing(volume.with_array((checks - 400).astype(np.float32)), SPACING)
    assert np.abs(moved.array[3:-3, 8:-8, 8:-8]).max() < 40


def test_to_spacing_is_cubic_between_coarse_voxels() -> None:
    """A parabola stays one, of which linear interpolation would cut the top."""
    volume = ramp(4.0, 2.5, (9, 31, 31))
    column = np.arange(31) - 15.0
    parabola = np.broadcast_to((1000 - column**2 * 16).astype(np.float32), volume.spatial_shape)
    moved = to_spacing(volume.with_array(np.ascontiguousarray(parabola)), SPACING)
    middle = moved.map_indices_to_reference(np.array([[0.0, 0.0, k] for k in range(moved.spatial_shape[2])]))[:, 0]
    expected = 1000 - (middle - (-9.0 + 15 * 4.0)) ** 2
    assert moved.array[4, 60, 30:-30] == pytest.approx(expected[30:-30], abs=2)


@pytest.mark.parametrize("slices", [1000, 1001, 1002, 1003])
def test_masks_on_thin_slices_reach_the_ends_of_the_stack(slices: int) -> None:
    affine = np.array([[0, 0, 1.5, 0.0], [0, 1.5, 0, 0.0], [-0.3125, 0, 0, 100.0], [0, 0, 0, 1]])
    thin = hd.Volume(np.zeros((slices, 8, 8), np.int16), affine, "PATIENT", "1.2.3")
    count = slices_in_one(thin.spacing[0], 1.25)
    everywhere = thicker(thin, count)
    everywhere = everywhere.with_array(np.full(everywhere.spatial_shape, 255, np.uint8))
    assert (resample_like(everywhere, thin) == 255).all()


def test_slices_of_one_slab_and_the_next_are_resampled_alike() -> None:
    moved = to_plane_grid(body(shape=(70, 60, 80)), GRID).array
    assert (moved == moved[0]).all()


@pytest.mark.parametrize("slices", [61, 62, 63])
def test_thin_slices_hold_what_all_of_them_resampled_hold(slices: int) -> None:
    """A ball on slices 2.5 mm apart, wanted on slices 0.3 mm apart, with fewer and more than whole groups of them."""
    coarse = np.array([[0, 0, 1.5, -60.0], [0, 1.5, 0, -50.0], [-2.5, 0, 0, 90.0], [0, 0, 0, 1]])
    middle = np.array([4.0, 10.0, 12.0])[:, None, None, None]
    away = np.linalg.norm((np.indices((9, 20, 24)) - middle) * np.array([2.5, 1.5, 1.5])[:, None, None, None], axis=0)
    ball = hd.Volume(np.rint(255 / (1 + np.exp(away - 8.0))).astype(np.uint8), coarse, "PATIENT")
    fine = np.array([[0, 0, 0.8, -60.0], [0, 0.8, 0, -50.0], [-0.3, 0, 0, 90.0], [0, 0, 0, 1]])
    thin = hd.Volume(np.zeros((slices, 40, 50), np.uint8), fine, "PATIENT")
    found, exact = (resample_like(of, thin) for of in (ball, ball.with_array(ball.array.astype(np.float32))))
    assert found.dtype == np.uint8 and found.shape == exact.shape
    assert np.abs(found - exact).max() < 0.1 * 255
    inside = np.count_nonzero(exact >= 127.5)
    assert inside > 1000 and abs(np.count_nonzero(found >= 128) - inside) < 0.01 * inside
