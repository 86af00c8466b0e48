"""Geometry holds for any scan: every voxel keeps its place in the patient, whatever the order of the files."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from helpers import make_ct
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from scipy.spatial.transform import Rotation

from service.domain.eligibility import Limits
from service.imaging.gate import check_headers
from service.imaging.read import read_ct

SMALL = {"slices": 32, "spacing_mm": 7.0, "rows": 24, "columns": 32, "pixel_mm": (12.0, 11.5)}
ANY_THICKNESS = Limits(max_thickness_mm=10.0)

orientations = st.sampled_from(sorted(make_ct.ORIENTATIONS))
degrees = st.floats(-10.0, 10.0, allow_nan=False)
millimetres = st.floats(-2000.0, 2000.0, allow_nan=False)
few = settings(max_examples=20, deadline=None)


@cache
def _small(orientation: str) -> make_ct.PhantomCT:
    return make_ct.make(orientation=orientation, **SMALL)


def _turned(orientation: str, about_x: float, about_y: float, about_z: float) -> tuple[float, ...]:
    turn = Rotation.from_euler("xyz", (about_x, about_y, about_z), degrees=True)
    return tuple(float(c) for c in turn.apply(np.array(make_ct.ORIENTATIONS[orientation]).reshape(2, 3)).ravel())


@few
@given(orientations, degrees, degrees, degrees, st.tuples(millimetres, millimetres, millimetres))
def test_affine_maps_voxels_to_the_patient(
    orientation: str, about_x: float, about_y: float, about_z: float, centre_mm: tuple[float, float, float]
) -> None:
    iop = _turned(orientation, about_x, about_y, about_z)
    phantom = make_ct.make(iop=iop, centre_mm=centre_mm, **SMALL)
    assert check_headers(phantom.datasets, ANY_THICKNESS).ok
    ct = read_ct(phantom.datasets)
    assert np.allclose(ct.volume.affine, phantom.truth.affine, atol=1e-6)
    assert np.linalg.det(ct.volume.affine[:3, :3]) > 0
    assert np.isclose(ct.voxel_ml, 7.0 * 12.0 * 11.5 / 1000)
    for k in (0, 13, 31):
        assert np.allclose(_pixel_lps(ct.headers[k], row=5, column=7), (ct.volume.affine @ [k, 5, 7, 1])[:3], atol=1e-6)


def _pixel_lps(header: Dataset, row: int, column: int) -> Any:
    """Equation C.7.6.2.1-1 of PS3.3, written out."""
    along_row, along_column = np.array(header.ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = (float(v) for v in header.PixelSpacing)
    corner = np.array(header.ImagePositionPatient, float)
    return corner + along_row * between_columns * column + along_column * between_rows * row


@pytest.mark.slow
@few
@given(orientations, st.randoms(use_true_random=False))
def test_file_order_does_not_matter(orientation: str, random: Any) -> None:
    datasets = _small(orientation).datasets
    shuffled = random.sample(datasets, len(datasets))
    assert check_headers(shuffled, ANY_THICKNESS) == check_headers(datasets, ANY_THICKNESS)
    ct, expected = read_ct(shuffled), read_ct(datasets)
    assert np.array_equal(ct.volume.array, expected.volume.array)
    assert np.array_equal(ct.volume.affine, expected.volume.affine)
    assert ct.sop_uids == expected.sop_uids
