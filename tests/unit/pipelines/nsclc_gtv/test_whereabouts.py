"""Lobe, side and distance to the surface of the lung, on boxes whose numbers can be counted."""

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset

from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.pipelines.nsclc_gtv.findings import Finding
from service.pipelines.nsclc_gtv.whereabouts import place_of

SPACING_MM = (2.0, 1.0, 1.0)
SHAPE = (40, 90, 90)


def ct() -> CT:
    affine = np.array([[0, 0, 1.0, 0], [0, 1.0, 0, 0], [-2.0, 0, 0, 0], [0, 0, 0, 1]])
    return CT((Dataset(),), hd.Volume(np.zeros(SHAPE, np.int16), affine, "PATIENT"))


def lungs() -> np.ndarray:
    """RUL above slice 20, RLL below it, LUL beside them; a wall of 10 voxels around and 10 between."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[5:20, 10:80, 10:40] = Lobe.RUL
    mask[20:35, 10:80, 10:40] = Lobe.RLL
    mask[5:35, 10:80, 50:80] = Lobe.LUL
    return mask


def box(slices: slice, rows: slice, columns: slice) -> Finding:
    mask = np.ones([part.stop - part.start for part in (slices, rows, columns)], np.bool_)
    return Finding(1, float(mask.sum() * 0.002), (slices, rows, columns), mask)


def test_the_distance_is_from_border_to_border() -> None:
    found = place_of(ct(), box(slice(8, 14), slice(30, 40), slice(17, 25)), lungs())
    assert found is not None and found.lobes == {Lobe.RUL: 1.0} and found.right_part == 1.0
    assert found.pleura_mm == pytest.approx(6.0), "3 slices of 2 mm above it; 7 mm to the side"


def test_what_touches_the_wall_is_0_from_it() -> None:
    found = place_of(ct(), box(slice(8, 14), slice(30, 40), slice(10, 20)), lungs())
    assert found is not None and found.pleura_mm == 0.0


def test_a_mass_that_the_lungs_leave_out_belongs_to_the_lobe_around_it() -> None:
    without = lungs()
    without[8:14, 28:42, 16:28] = 0
    inside = box(slice(8, 14), slice(30, 40), slice(18, 26))
    found = place_of(ct(), inside, without)
    assert found is not None and found.lobe is Lobe.RUL and found.others == ()
    assert found.pleura_mm == pytest.approx(6.0), "a hole around a mass is no surface"


def test_parts_of_several_lobes_are_counted() -> None:
    found = place_of(ct(), box(slice(16, 26), slice(30, 40), slice(20, 30)), lungs())
    assert found is not None
    assert found.lobes == pytest.approx({Lobe.RLL: 0.6, Lobe.RUL: 0.4})
    assert (found.lobe, found.others) == (Lobe.RLL, (Lobe.RUL,))


def test_in_the_middle_it_lies_on_both_sides() -> None:
    found = place_of(ct(), box(slice(8, 14), slice(30, 40), slice(35, 55)), lungs())
    assert found is not None and found.right_part == pytest.approx(0.5) and found.pleura_mm == 0.0


def test_where_no_lung_is_near_there_is_no_place() -> None:
    empty = np.zeros(SHAPE, np.uint8)
    empty[38:, 88:, 88:] = Lobe.LUL
    assert place_of(ct(), box(slice(8, 14), slice(30, 40), slice(17, 25)), empty) is None


def test_beside_the_lungs_the_gap_is_told_and_no_distance_to_the_surface() -> None:
    found = place_of(ct(), box(slice(8, 14), slice(30, 40), slice(0, 6)), lungs())
    assert found is not None and found.beside and found.overlap == 0.0
    assert (found.lobe, found.gap_mm, found.pleura_mm) == (Lobe.RUL, pytest.approx(4.0), None)


def test_how_much_lies_in_the_lungs_is_told() -> None:
    found = place_of(ct(), box(slice(8, 14), slice(30, 40), slice(6, 14)), lungs())
    assert found is not None and (found.overlap, found.gap_mm, found.pleura_mm) == (0.5, 0.0, 0.0)
    whole = place_of(ct(), box(slice(8, 14), slice(30, 40), slice(18, 26)), lungs())
    assert whole is not None and whole.overlap == 1.0


def test_a_mass_in_a_hole_of_the_lungs_lies_in_them() -> None:
    without = lungs()
    without[8:14, 28:42, 16:28] = 0
    found = place_of(ct(), box(slice(8, 14), slice(30, 40), slice(18, 26)), without)
    assert found is not None and found.overlap == 1.0 and not found.beside


def test_beyond_reach_no_distance_to_the_surface_is_told() -> None:
    shape = (80, 80, 80)
    affine = np.array([[0, 0, 2.0, 0], [0, 2.0, 0, 0], [-2.0, 0, 0, 0], [0, 0, 0, 1]])
    deep = CT((Dataset(),), hd.Volume(np.zeros(shape, np.int16), affine, "PATIENT"))
    mask = np.zeros(shape, np.uint8)
    mask[2:78, 2:78, 2:78] = Lobe.RUL
    found = place_of(deep, box(slice(38, 42), slice(38, 42), slice(38, 42)), mask)
    assert found is not None and found.pleura_mm is None and found.overlap == 1.0
    nearer = place_of(deep, box(slice(20, 24), slice(38, 42), slice(38, 42)), mask)
    assert nearer is not None and nearer.pleura_mm == pytest.approx(36.0)
