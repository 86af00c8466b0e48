"""Diameters of bodies whose diameters are known, in every orientation."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from service.imaging.diameters import Diameter, diameters

SPACINGS = [(1.0, 1.0, 1.0), (2.5, 0.7, 0.7), (3.0, 0.6, 0.8)]
TURNS = [(0, 0, 0), (30, 0, 0), (0, 40, 0), (0, 0, 25), (20, -35, 50)]
"""Degrees about slice, row and column."""


def body(
    half_mm: tuple[float, float, float], degrees: tuple[float, ...], spacing_mm: tuple[float, ...], spikes: int = 0
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """An ellipsoid (half axes along slice, row and column before it is turned), with spikes around it."""
    turn = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    reach = max(half_mm) * (1.8 if spikes else 1.1)
    shape = [2 * int(np.ceil(reach / mm)) + 1 for mm in spacing_mm]
    centre = (np.array(shape) - 1) / 2
    at = (np.stack(np.indices(shape), -1) - centre) * spacing_mm
    turned = at @ turn
    mask = ((turned / half_mm) ** 2).sum(-1) <= 1
    random = np.random.default_rng(spikes)
    for direction in random.normal(size=(spikes, 3)):
        unit = direction / np.linalg.norm(direction)
        along = at @ unit
        away = np.linalg.norm(at - along[..., None] * unit, axis=-1)
        mask |= (along > 0) & (along < 1.4 * min(half_mm)) & (away < 1.2)
    return mask, turn


def in_mm(diameter: Diameter, spacing_mm: tuple[float, ...]) -> float:
    first, last = (np.array(end) * spacing_mm for end in diameter.ends)
    return float(np.linalg.norm(last - first))


def axial(half_mm: tuple[float, ...], turn: NDArray[np.float64]) -> tuple[float, float]:
    """Axes of the middle axial section of an ellipsoid: eigenvalues of its quadratic form without the slice axis."""
    form = turn @ np.diag(1 / np.array(half_mm) ** 2) @ turn.T
    low, high = np.linalg.eigvalsh(form[1:, 1:])
    return 2 / np.sqrt(low), 2 / np.sqrt(high)


@pytest.mark.parametrize("spacing_mm", SPACINGS)
@pytest.mark.parametrize("degrees", TURNS)
def test_an_ellipsoid_has_its_diameters_within_a_pixel(
    spacing_mm: tuple[float, float, float], degrees: tuple[float, ...]
) -> None:
    half_mm = (14.2, 10.3, 22.0)
    mask, turn = body(half_mm, degrees, spacing_mm)
    found = diameters(mask, spacing_mm)
    longest, across = axial(half_mm, turn)
    pixel = max(spacing_mm[1:])
    assert found.longest.length_mm == pytest.approx(longest, abs=pixel)
    assert found.across.length_mm == pytest.approx(across, abs=pixel)
    assert found.in_space.length_mm == pytest.approx(44.0, abs=max(spacing_mm))
    assert mask.sum() * np.prod(spacing_mm) / 1000 == pytest.approx(4 / 3 * np.pi * np.prod(half_mm) / 1000, rel=0.02)
    for one in (found.longest, found.across, found.in_space):
        assert in_mm(one, spacing_mm) == pytest.approx(one.length_mm, abs=0.01)
    assert {end[0] for end in (*found.longest.ends, *found.across.ends)} == {float(found.slice_index)}
    along, beside = (
        np.subtract(*(np.array(end[1:]) * spacing_mm[1:] for end in one.ends)) for one in (found.longest, found.across)
    )
    assert abs(along @ beside) < 1e-6 * np.linalg.norm(along) * np.linalg.norm(beside)


def test_spikes_count_for_the_longest() -> None:
    smooth, _ = body((12.0, 12.0, 12.0), (0, 0, 0), (1.0, 1.0, 1.0))
    spiky, _ = body((12.0, 12.0, 12.0), (0, 0, 0), (1.0, 1.0, 1.0), spikes=40)
    round_one, with_spikes = (diameters(mask, (1.0, 1.0, 1.0)) for mask in (smooth, spiky))
    assert round_one.longest.length_mm == pytest.approx(24.0, abs=1)
    assert 28 < with_spikes.in_space.length_mm < 36
    assert with_spikes.longest.length_mm > round_one.longest.length_mm + 2


def test_the_line_across_does_not_leave_the_finding() -> None:
    """A U: between its arms there is nothing."""
    plane = np.zeros((41, 61), np.bool_)
    plane[5:36, 5:15] = plane[5:36, 46:56] = plane[5:13, 5:56] = True
    found = diameters(plane[None], (1.0, 1.0, 1.0))
    assert found.longest.length_mm == pytest.approx(np.hypot(31, 51), abs=1)
    (_, row, column), (_, other_row, other_column) = found.across.ends
    for part in np.linspace(0.02, 0.98, 30):
        assert plane[round(row + part * (other_row - row)), round(column + part * (other_column - column))]


@pytest.mark.parametrize(("shape", "in_space_mm"), [((1, 1, 1), 2.0), ((1, 1, 5), 8**0.5), ((4, 1, 1), 8.0)])
def test_the_smallest_findings_are_measured(shape: tuple[int, int, int], in_space_mm: float) -> None:
    found = diameters(np.ones(shape, np.bool_), (2.0, 0.5, 0.5))
    assert found.longest.length_mm == pytest.approx(0.5 * shape[2])
    assert found.across.length_mm == pytest.approx(0.5, abs=0.13)
    assert found.in_space.length_mm == pytest.approx(in_space_mm)


def test_the_same_mask_has_the_same_lines() -> None:
    mask = np.ones((3, 8, 8), np.bool_)
    assert diameters(mask, (1.0, 1.0, 1.0)) == diameters(mask.copy(), (1.0, 1.0, 1.0))
    assert diameters(mask, (1.0, 1.0, 1.0)).slice_index == 0


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (5.0, 0.7, 0.7), (2.0, 0.5, 2.0), (1.0, 2.0, 0.3)])
def test_no_end_lies_outside_the_masks_box_and_lengths_are_those_between_the_ends(
    spacing_mm: tuple[float, float, float],
) -> None:
    random = np.random.default_rng(0)
    for _ in range(150):
        mask = random.random(random.integers(1, 7, 3)) < random.uniform(0.2, 0.9)
        if not mask.any():
            continue
        found = diameters(mask, spacing_mm)
        for one in (found.longest, found.across, found.in_space):
            assert in_mm(one, spacing_mm) == pytest.approx(one.length_mm, abs=1e-9)
            ends = np.array(one.ends)
            assert ends.min() >= -0.5 - 1e-9 and (ends <= np.array(mask.shape) - 0.5 + 1e-9).all()
        assert found.across.length_mm <= found.longest.length_mm + 1e-9


def test_the_longest_does_not_run_between_limbs_that_are_apart_in_the_slice() -> None:
    """A horseshoe that stands upright: its limbs meet in the last slice alone."""
    mask = np.zeros((6, 12, 60), np.bool_)
    mask[:5, 2:10, 2:12] = mask[:5, 2:10, 48:58] = True
    mask[5, 4:8, 20:40] = mask[4, 4:8, 5:22] = mask[4, 4:8, 38:55] = True
    found = diameters(mask, (2.0, 1.0, 1.0))
    assert found.slice_index == 4 and found.longest.length_mm < 25.0
    (_, row, column), (_, other_row, other_column) = found.longest.ends
    for part in np.linspace(0.02, 0.98, 40):
        at = round(row + part * (other_row - row)), round(column + part * (other_column - column))
        assert mask[(found.slice_index, *at)]
    assert found.in_space.length_mm > 55.0
