"""Lesions on the grid of the CT, whatever its orientation, and the region around each for the classifier."""

from collections.abc import Mapping

import highdicom as hd
import numpy as np
import pytest
from helpers import tiny_models
from numpy.typing import NDArray

from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.domain.ports import Array
from service.errors import Permanent
from service.imaging.harmonise import resample_like
from service.pipelines.covid_triage.infection import MARGIN_MM, MOST_CLASSIFIED, classified, region
from service.pipelines.covid_triage.lesions import LEAST_ML, Lesions, find_lesions
from service.pipelines.covid_triage.lung_grid import LungGrid
from service.pipelines.covid_triage.model_roles import SPACING_MM, Infection

HEAD_FIRST = (0.0, 0.0, -1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0)
"""Directions of slices (to the feet), rows (to the back) and columns (to the left) in LPS."""
FEET_FIRST = (0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0)
SIZE = np.array((60.0, 80.0, 90.0))
"""Size of the volume in mm, along slices, rows and columns."""

BIG, SMALL, TINY = ((20.0, 30.0, 20.0), 12.0), ((40.0, 40.0, 70.0), 5.0), ((40.0, 60.0, 25.0), 2.0)
"""Balls: middle and radius in mm, from the head, the front and the right."""


def volume(array: NDArray[np.float32], spacing: tuple[float, float, float], direction: tuple[float, ...]) -> hd.Volume:
    """A volume whose whole extent is the same whatever its direction. array: axes to F, P and L."""
    to_feet = direction[2] < 0
    position = [spacing[2] / 2, spacing[1] / 2, -spacing[0] / 2 if to_feet else spacing[0] / 2 - SIZE[0]]
    # The columns of the direction matrix are the axes of the array.
    matrix = np.array(direction).reshape(3, 3).T.flatten().tolist()
    return hd.Volume.from_components(
        array if to_feet else array[::-1].copy(),
        spacing=spacing,
        coordinate_system="PATIENT",
        position=position,
        direction=matrix,
        frame_of_reference_uid="1.2.3",
    )


def balls(spacing: tuple[float, float, float], *wanted: tuple[tuple[float, ...], float]) -> NDArray[np.bool_]:
    along = (np.arange(round(size / mm)) * mm + mm / 2 for size, mm in zip(SIZE, spacing, strict=True))
    grid = np.meshgrid(*along, indexing="ij")
    inside = np.zeros(grid[0].shape, np.bool_)
    for centre, radius in wanted:
        inside |= sum((at - c) ** 2 for at, c in zip(grid, centre, strict=True)) <= radius**2
    return inside


def scene(
    *wanted: tuple[tuple[float, ...], float], direction: tuple[float, ...] = HEAD_FIRST, spacing: float = 1.0
) -> tuple[CT, LungGrid, Lesions]:
    """A CT of lung with balls of -500 HU, left of the middle in the left upper lobe; what a network says of it."""
    pixels = (spacing, spacing, spacing)
    there = balls(pixels, *wanted)
    ct = CT((), volume(np.where(there, -500, -850).astype(np.float32), pixels, direction))
    lobes = np.full(there.shape, Lobe.RUL, np.uint8)
    lobes[:, :, lobes.shape[2] // 2 :] = Lobe.LUL
    on_grid = balls(SPACING_MM, *wanted)
    hu = volume(np.where(on_grid, -500, -850).astype(np.int16), SPACING_MM, HEAD_FIRST)
    said = hu.with_array(np.where(on_grid, 250, 0).astype(np.uint8))
    return ct, LungGrid(hu, np.ones(on_grid.shape, np.bool_)), find_lesions(ct, said, lobes)


@pytest.mark.parametrize("direction", [HEAD_FIRST, FEET_FIRST])
def test_each_lesion_has_its_volume_lobe_and_mean_and_the_largest_is_first(direction: tuple[float, ...]) -> None:
    ct, _, found = scene(SMALL, BIG, TINY, direction=direction)
    assert [one.name for one in found.every] == ["LESION_1", "LESION_2"], "what is below 0.1 mL is left out"
    big, small = found.every
    assert [one.lobe for one in found.every] == [Lobe.RUL, Lobe.LUL]
    assert big.volume_ml == pytest.approx(4 / 3 * np.pi * 12**3 / 1000, rel=0.05)
    assert small.volume_ml == pytest.approx(4 / 3 * np.pi * 5**3 / 1000, rel=0.15)
    assert big.mean_hu == pytest.approx(-510, abs=20)
    for lesion in found.every:
        here = found.numbers == lesion.number
        assert np.count_nonzero(here) * ct.voxel_ml == pytest.approx(lesion.volume_ml)
        assert np.count_nonzero(here[lesion.box]) == np.count_nonzero(here)
    expected = ct.volume.array > -600
    assert 2 * np.count_nonzero(found.mask & expected) / (found.mask.sum() + expected.sum()) > 0.93


def test_the_least_volume_is_kept_and_less_is_not() -> None:
    side = (LEAST_ML * 1000) ** (1 / 3)
    assert side == pytest.approx(4.64, abs=0.01)
    radius = (LEAST_ML * 1000 * 3 / (4 * np.pi)) ** (1 / 3)
    assert len(scene(((30.0, 40.0, 40.0), radius * 1.15), spacing=0.5)[2].every) == 1
    assert scene(((30.0, 40.0, 40.0), radius * 0.8), spacing=0.5)[2].every == ()


def test_without_a_lesion_there_is_none_and_nothing_to_classify() -> None:
    ct, grid, found = scene()
    assert found.every == () and not found.mask.any()
    assert classified(ct, grid, found, Classifier(), lambda _: None) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("direction", [HEAD_FIRST, FEET_FIRST])
def test_the_region_is_the_lesions_box_with_a_margin_and_its_mask_alone(direction: tuple[float, ...]) -> None:
    ct, grid, found = scene(SMALL, BIG, direction=direction)
    hu, mask = region(ct, grid, found, found.every[1], (16, 24, 32))
    assert hu.array.dtype == np.int16 and mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 1}
    extent = np.array(hu.spatial_shape) * hu.spacing
    wanted = 2 * 5.0 + 2 * MARGIN_MM
    assert extent == pytest.approx([wanted] * 3, abs=2 * SPACING_MM[0] + 2)
    middle = hu.map_indices_to_reference((np.array([hu.spatial_shape]) - 1) / 2)[0]
    assert middle == pytest.approx([70, 40, -40], abs=2.6)
    voxel_ml = hu.voxel_volume / 1000
    assert mask.sum() * voxel_ml == pytest.approx(4 / 3 * np.pi * 5**3 / 1000, rel=0.3)
    assert hu.array[mask > 0].mean() > -620 and hu.array[mask == 0].mean() < -820


class Classifier:
    """Says what it is told, one lesion after the other; heat is the mask."""

    def __init__(self, *said: tuple[float, float, float]) -> None:
        self.said = list(said)
        self.asked = 0

    def spec(self, name: str) -> object:
        return tiny_models.TRIAGE_INFECTION

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.asked += 1
        probabilities = np.array([self.said.pop(0)], np.float32)
        return {"probabilities": probabilities, "heat_map": inputs["mask"] * np.uint8(200)}


def test_the_lesion_most_likely_infected_decides_and_its_heat_is_put_back_where_it_lies() -> None:
    ct, grid, found = scene(SMALL, BIG, direction=FEET_FIRST)
    done: list[float] = []
    said = classified(ct, grid, found, Classifier((0.2, 0.1, 0.7), (0.3, 0.6, 0.1)), done.append)  # type: ignore[arg-type]
    assert said is not None
    assert [one.lesion.number for one in said.answers] == [1, 2] and done == [0.5, 1.0]
    assert (said.decides.lesion.number, said.decides.decision) == (2, Infection.OTHER)
    assert said.decides.infection == pytest.approx(0.9)
    hot, own = said.heat >= 100, found.numbers == 2
    assert 2 * np.count_nonzero(hot & own) / (hot.sum() + own.sum()) > 0.8
    assert not said.heat[found.numbers == 1].any()


def test_of_equal_probabilities_the_larger_lesion_decides() -> None:
    ct, grid, found = scene(SMALL, BIG)
    said = classified(ct, grid, found, Classifier((0.4, 0.4, 0.2), (0.1, 0.7, 0.2)), lambda _: None)  # type: ignore[arg-type]
    assert said is not None and said.decides.lesion.number == 1
    assert said.decides.decision is Infection.COVID_19, "the first of equal ones"


def test_so_many_lesions_are_classified_and_no_more() -> None:
    many = [((z, y, x), 3.6) for z in (12.0, 32.0, 48.0) for y in (12.0, 38.0, 66.0) for x in (12.0, 38.0, 64.0)]
    ct, grid, found = scene(*many)
    assert len(found.every) == len(many) == 27
    model = Classifier(*[(0.1, 0.1, 0.8)] * MOST_CLASSIFIED)
    classified(ct, grid, found, model, lambda _: None)  # type: ignore[arg-type]
    assert model.asked == MOST_CLASSIFIED


@pytest.mark.parametrize("wrong", [(0.5, 0.5, 0.5), (float("nan"), 0.5, 0.5), (1.5, -0.5, 0.0)])
def test_what_is_no_probability_is_refused(wrong: tuple[float, float, float]) -> None:
    ct, grid, found = scene(BIG)
    with pytest.raises(Permanent, match="no probabilities that sum to 1"):
        classified(ct, grid, found, Classifier(wrong), lambda _: None)  # type: ignore[arg-type]


def test_masks_of_the_test_lie_where_the_ct_is() -> None:
    """The two directions are of one patient."""
    first, second = (scene(BIG, direction=one)[0].volume for one in (HEAD_FIRST, FEET_FIRST))
    assert np.array_equal(resample_like(second, first), first.array)
