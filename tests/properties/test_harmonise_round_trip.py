"""Onto the model's grid and back: a blob returns to its own voxels, whatever the series' geometry."""

from itertools import permutations, product

import highdicom as hd
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.imaging.harmonise import PlaneGrid, resample_like, to_plane_grid

GRID = PlaneGrid(spacing_mm=1.5, size=96)
SHAPE = (12, 60, 64)
AXES = ["".join(sides) for pairs in permutations(("FH", "PA", "LR")) for sides in product(*pairs) if pairs[0] == "FH"]
"""Every way to store an axial series: slices to either end, rows and columns swapped or reversed."""


def centre_of(mask: NDArray[np.bool_], volume: hd.Volume) -> NDArray[np.float64]:
    """Centre of mass, LPS mm."""
    index = np.array([axis.mean() for axis in np.nonzero(mask)])
    return np.asarray(volume.affine[:3, :3] @ index + volume.affine[:3, 3])


@settings(max_examples=40, deadline=None)
@given(
    orientation=st.sampled_from(AXES),
    pixel_mm=st.tuples(st.floats(0.6, 2.0), st.floats(0.6, 2.0)),
    slice_mm=st.floats(0.8, 5.0),
    oblique_deg=st.floats(-15.0, 15.0),
    position=st.tuples(*[st.floats(-300.0, 300.0)] * 3),
    side=st.sampled_from((-1, 1)),
)
@example("FPL", (1.125, 1.0), 1.0, 2.225073858507203e-309, (0.0, 0.0, 0.0), -1)  # subnormal direction cosines
def test_a_blob_comes_back_to_its_voxels(
    orientation: str,
    pixel_mm: tuple[float, float],
    slice_mm: float,
    oblique_deg: float,
    position: tuple[float, float, float],
    side: int,
) -> None:
    angle = np.radians(oblique_deg)
    about_z = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ np.array([[0, 0, pixel_mm[1]], [0, pixel_mm[0], 0], [-slice_mm, 0, 0]])
    affine[:3, 3] = position
    slice_, row, column = np.indices(SHAPE)
    hu = np.where(np.hypot((row - 29.5) / 24, (column - 31.5) / 26) < 1, 40.0, -1000.0).astype(np.float32)
    blob_at = np.hypot((row - 24) * pixel_mm[0], (column - 31.5 - side * 12) * pixel_mm[1])
    blob = (blob_at < 8.0) & (slice_ >= 3) & (slice_ < 8)
    canonical = hd.Volume(hu, affine, "PATIENT")
    source = canonical.to_patient_orientation(orientation)
    truth = canonical.with_array(blob.astype(np.uint8)).to_patient_orientation(orientation)

    moved = to_plane_grid(source, GRID)
    on_model = resample_like(truth.with_array(truth.array * np.uint8(255)), moved)
    back = resample_like(moved.with_array(on_model), source) >= 128

    expected = truth.array > 0
    assert back.shape == expected.shape
    assert np.array_equal(back.any((1, 2)), expected.any((1, 2)))  # slices are untouched
    overlap = 2 * np.count_nonzero(back & expected) / (back.sum() + expected.sum())
    assert overlap > 0.9
    assert np.abs(centre_of(back, source) - centre_of(expected, source)).max() < 0.4
    to_left = np.cos(angle), np.sin(angle), 0.0
    from_body = centre_of(back, source) - centre_of(source.array > -500, source)
    assert np.sign(from_body @ to_left) == side  # left stays left
