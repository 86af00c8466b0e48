"""Borders move to where no vessels are, and stay where nothing says where that is."""

from collections.abc import Callable

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from service.imaging.fissures.follow import follow_fissures
from service.imaging.fissures.surface_fit import Family
from service.imaging.lobes import lobes_on_source, lung_boxes
from service.imaging.lungs import Lungs, Side

pytestmark = pytest.mark.slow

BOX = 64
SHAPE = (90, 70, 110)
AFFINE = np.array([[0, 0, 2.0, -110.0], [0, 2.0, 0, -70.0], [-2.5, 0, 0, 110.0], [0, 0, 0, 1]])
RIGHT, LEFT = np.s_[5:85, 5:65, 5:53], np.s_[5:85, 5:65, 57:105]
Z = 110.0 - 2.5 * np.arange(SHAPE[0])[:, None, None]
Y = -70.0 + 2.0 * np.arange(SHAPE[1])[None, :, None]

Plane = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def oblique(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height in mm above the middle of the lungs, as believed by the prior."""
    return 0.8 * y


def horizontal(y: NDArray[np.float64]) -> NDArray[np.float64]:
    return 25.0 + 0.0 * y


SIDES = np.zeros(SHAPE, np.uint8)
SIDES[RIGHT], SIDES[LEFT] = Side.RIGHT, Side.LEFT
ON_MODEL = hd.Volume(SIDES, AFFINE, "PATIENT")
BOXES = lung_boxes(ON_MODEL, BOX)


def prior(sd_mm: float = 15.0) -> dict[Side, NDArray[np.uint8]]:
    """Every height is uncertain by `sd_mm`."""
    said = {}
    for side, box in BOXES.items():
        z = (box.affine[2, 0] * np.arange(BOX) + box.affine[2, 3])[:, None, None] * np.ones((1, BOX, BOX))
        y = (box.affine[1, 1] * np.arange(BOX) + box.affine[1, 3])[None, :, None]
        above, top = norm.cdf((z - oblique(y)) / sd_mm), norm.cdf((z - horizontal(y)) / sd_mm)
        lobes = [above * top, above * (1 - top), 1 - above] if side == Side.RIGHT else [above, 1 - above]
        said[side] = np.rint(255 * np.stack(lobes)).astype(np.uint8)
    return said


def chest(*free: Plane, part: float = 0.06) -> hd.Volume:
    """HU of lungs with vessels all over, except 12 mm around the surfaces z = free(y)."""
    vessels = np.random.default_rng(1).random(SHAPE) < part
    for height in free:
        vessels &= np.abs(Z - height(Y)) > 12.0
    return ON_MODEL.with_array(np.where(SIDES > 0, np.where(vessels, 0.0, -850.0), 40.0).astype(np.float32))


def follow(volume: hd.Volume, said: dict[Side, NDArray[np.uint8]]) -> dict[Side, NDArray[np.uint8]]:
    return follow_fissures(said, BOXES, volume, Lungs(ON_MODEL, SIDES, ()))


def lower_lobes(probability: dict[Side, NDArray[np.uint8]]) -> NDArray[np.bool_]:
    labels = lobes_on_source(probability, BOXES, Lungs(ON_MODEL, SIDES, ()), ON_MODEL)
    return np.isin(labels, [3, 5])


@pytest.mark.parametrize("shift_mm", [-20.0, 20.0])
def test_fissures_are_followed(shift_mm: float) -> None:
    def moved(y: NDArray[np.float64]) -> NDArray[np.float64]:
        return oblique(y) + shift_mm

    truth = (SIDES > 0) & (moved(Y) > Z)
    said = prior()
    before = np.count_nonzero(lower_lobes(said) != truth)
    after = np.count_nonzero(lower_lobes(follow(chest(moved, horizontal), said)) != truth)
    assert after < 0.3 * before


def test_the_horizontal_fissure_is_followed() -> None:
    said = prior()
    found = follow(chest(oblique, lambda y: horizontal(y) + 18.0), said)
    front = np.s_[:10]  # rows where the oblique fissure is far below
    before, after = (Family.of(s[Side.RIGHT]).mean[1][front].mean() for s in (said, found))
    assert (before - after) * BOXES[Side.RIGHT].spacing[0] == pytest.approx(18.0, abs=5.0)


@pytest.mark.parametrize("volume", [chest(part=0.0), chest()], ids=["no vessels", "vessels everywhere"])
def test_without_evidence_the_model_has_the_last_word(volume: hd.Volume) -> None:
    said = prior()
    found = follow(volume, said)
    assert all(np.array_equal(found[side], said[side]) for side in Side)


def test_lungs_are_judged_one_by_one() -> None:
    volume = chest(lambda y: oblique(y) + 20.0, horizontal)
    volume.array[LEFT] = -850.0
    said = prior()
    found = follow(volume, said)
    assert np.array_equal(found[Side.LEFT], said[Side.LEFT])
    assert not np.array_equal(found[Side.RIGHT], said[Side.RIGHT])


def test_a_certain_model_is_hardly_moved() -> None:
    said = prior(sd_mm=1.0)
    moved = np.count_nonzero(lower_lobes(follow(chest(lambda y: oblique(y) + 20.0), said)) ^ lower_lobes(said))
    assert moved < 0.03 * np.count_nonzero(SIDES)


def test_the_same_ct_gives_the_same_bytes() -> None:
    volume, said = chest(lambda y: oblique(y) - 10.0), prior()
    first, second = (follow(volume, said) for _ in range(2))
    assert all(first[side].tobytes() == second[side].tobytes() for side in Side)


def test_lobes_share_every_voxel() -> None:
    found = follow(chest(lambda y: oblique(y) - 10.0, horizontal), prior())
    for probability in found.values():
        assert np.abs(probability.astype(int).sum(0) - 255).max() <= 1
        assert (probability.max((1, 2, 3)) == 255).all()
