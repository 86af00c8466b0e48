"""Made-up lesions have the size that was asked for, lie in the lung, and can be made anew from their seed."""

from dataclasses import replace

import numpy as np
import pytest

from models.lung_tumour import bank, beside
from models.lung_tumour.bank import Lesion, made
from models.lung_tumour.bodies import Box, body, lumps, share_of, turned
from models.lung_tumour.data import Volume, edge_mm
from models.lung_tumour.tissue import airless, solid, tumour
from models.lung_tumour.transplant import Donor, donors, placed

SPACING = (3.0, 2.0, 2.0)


def box(half_mm: float = 40.0) -> Box:
    axes = [np.arange(-half_mm, half_mm + 0.1, mm) for mm in SPACING]
    return Box(np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32), SPACING)


def volume() -> Volume:
    lung = np.zeros((40, 100, 100), np.bool_)
    lung[5:35, 20:80, 10:90] = True
    hu = np.where(lung, np.int16(-860), np.int16(40))
    ill = np.zeros_like(lung)
    ill[15:20, 30:45, 30:45] = True
    hu[ill] = 35
    return Volume("lung1/LUNG1-001", 3.0, hu, edge_mm(lung), lung, ill, np.ones_like(lung))


def pictures() -> tuple[np.ndarray, np.ndarray]:
    masks = np.zeros((3, 48, 48), np.bool_)
    masks[0, 15:25, 20:30] = True
    masks[1, 20:23, 20:23] = True  # too small to be moved
    return np.where(masks, np.int16(20), np.int16(-880)), masks


def radius_of(share: np.ndarray) -> float:
    return float((3 * share.sum() * np.prod(SPACING) / (4 * np.pi)) ** (1 / 3))


@pytest.mark.parametrize("radius_mm", [6.0, 12.0, 22.0])
def test_a_body_has_about_the_radius_that_was_asked_for(radius_mm: float) -> None:
    radii = [radius_of(share_of(body(np.random.default_rng(s), box(), radius_mm), 2.0)) for s in range(8)]
    assert 0.75 * radius_mm < np.median(radii) < 1.25 * radius_mm
    assert max(radii) < 1.6 * radius_mm


def test_lumps_have_no_mean_and_a_deviation_of_one() -> None:
    noise = lumps(np.random.default_rng(0), box(), 12.0)
    assert noise.shape == box().shape and abs(float(noise.mean())) < 1e-3
    assert float(noise.std()) == pytest.approx(1.0, abs=0.01)
    steps = np.abs(np.diff(noise, axis=2)).mean()
    assert steps < 0.5, "neighbours are alike"


def test_a_turned_tumour_keeps_its_size() -> None:
    for seed in range(5):
        q = turned(np.random.default_rng(seed))
        assert q @ q.T == pytest.approx(np.eye(3), abs=1e-5)


def test_tissue_is_soft_and_airless_lung_often_has_bronchi() -> None:
    means = [float(solid(np.random.default_rng(seed), box(20.0)).mean()) for seed in range(20)]
    assert min(means) > -10.0 and max(means) < 130.0
    darkest = [float(airless(np.random.default_rng(seed), box(20.0)).min()) for seed in range(20)]
    assert 4 < sum(value < -300.0 for value in darkest) < 19
    depth = body(np.random.default_rng(1), box(), 20.0)
    hollow = [float(tumour(np.random.default_rng(seed), box(), depth, 20.0).min()) < -700.0 for seed in range(60)]
    assert 0 < sum(hollow) < 15


def test_what_lies_beside_ends_before_the_box_does() -> None:
    deep = np.full(box().shape, 10.0, np.float32)
    for seed in range(12):
        share = beside.share(np.random.default_rng(seed), box(), 15.0, deep)
        assert share.min() >= 0.0 and share.max() <= 1.0
        assert not share[:, 0].any() and not share[:, :, -1].any()


def test_donors_are_whole_tumours_and_pictures_that_are_large_enough() -> None:
    found = donors([volume()], *pictures())
    assert [one.flat for one in found] == [False, True]
    assert found[0].radius_mm == pytest.approx((3 * 5 * 15 * 15 * 12 / (4 * np.pi)) ** (1 / 3))
    assert (found[0].hu == 35.0).all() and (found[1].hu == 20.0).all(), "continued beyond the edge"


@pytest.mark.parametrize("number", [0, 1])
def test_a_moved_tumour_has_the_size_that_was_asked_for(number: int) -> None:
    donor: Donor = donors([volume()], *pictures())[number]
    radii = []
    for seed in range(8):
        hu, share = placed(np.random.default_rng(seed), donor, box(), 16.0)
        radii.append(radius_of(share))
        assert hu.shape == share.shape == box().shape and 0.0 <= share.min() <= share.max() <= 1.0
    assert 12.0 < np.median(radii) < 20.0


def test_a_bank_can_be_made_anew_and_changes_lung_only_near_its_edge() -> None:
    one = volume()
    first, again = (made(3, 25, [one], donors([one], *pictures())) for _ in "12")
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not same(first[0], made(4, 1, [one], donors([one], *pictures()))[0])
    tumours = [lesion for lesion in first if (lesion.state == bank.TUMOUR).any()]
    assert 15 < len(tumours) < 25, "some are no tumours"
    off = bank.host(one).off
    for lesion in tumours:
        part = tuple(slice(c, c + n) for c, n in zip(lesion.corner, lesion.hu.shape, strict=True))
        changed = lesion.hu != one.hu[part]
        assert changed[lesion.state == bank.TUMOUR].mean() > 0.8
        assert off[part][lesion.state == bank.TUMOUR].max() <= 15.0
        assert off[part][changed].max() <= 17.0


def same(one: Lesion, other: Lesion) -> bool:
    return one.corner == other.corner and np.array_equal(one.hu, other.hu) and np.array_equal(one.state, other.state)


def test_lesions_begin_away_from_real_tumours() -> None:
    one = volume()
    points = bank.host(one).points
    assert not one.tumour[tuple(points.T)].any()
    free = bank.host(replace(one, tumour=np.zeros_like(one.tumour))).points
    assert len(free) > len(points)


def test_a_synthetic_body_may_be_outlined_a_little_outside_its_edge_and_a_real_one_stays() -> None:
    one = volume()
    tight, generous = (made(3, 40, [one], [], wide) for wide in (False, True))
    sizes = [[int((lesion.state == bank.TUMOUR).sum()) for lesion in some] for some in (tight, generous)]
    grown = [more / size for size, more in zip(*sizes, strict=True) if size > 100]
    assert all(np.array_equal(a.hu, b.hu) for a, b in zip(tight, generous, strict=True))
    assert 1.05 < np.median(grown) < 1.6
    moved = (made(3, 40, [one], donors([one], *pictures()), wide) for wide in (False, True))
    assert any(same(a, b) and (a.state == bank.TUMOUR).any() for a, b in zip(*moved, strict=True))
