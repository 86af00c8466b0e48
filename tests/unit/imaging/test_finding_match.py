"""Findings of two CTs, matched by position."""

import highdicom as hd
import numpy as np

from service.imaging.finding_match import REACH_MM, Points, in_reach_of, match, outside, points_of

STILL = np.eye(4)


def ball(x: float, y: float = 0.0, z: float = 0.0, radius: float = 5.0) -> Points:
    """Voxels of 1 mm within a ball."""
    grid = np.indices((41, 41, 41)).reshape(3, -1).T - 20.0
    return grid[np.linalg.norm(grid, axis=1) <= radius] + [x, y, z]


def test_each_finding_is_matched_with_the_one_at_its_place() -> None:
    then = {"A": ball(0), "B": ball(60)}
    now = {"X": ball(62, radius=9), "Y": ball(1, radius=8)}
    assert match(then, now, STILL).pairs == {"X": "B", "Y": "A"}


def test_the_motion_between_the_cts_is_undone() -> None:
    motion = np.eye(4)
    motion[:3, 3] = [100.0, -30.0, 7.0]
    assert match({"A": ball(0)}, {"X": ball(100, -30, 7)}, motion).pairs == {"X": "A"}
    assert match({"A": ball(0)}, {"X": ball(100, -30, 7)}, STILL).pairs == {}


def test_a_gap_up_to_the_reach_is_a_match_and_a_wider_one_is_none() -> None:
    for gap, pairs in ((REACH_MM, {"X": "A"}), (REACH_MM + 1.0, {})):
        assert match({"A": ball(0)}, {"X": ball(10.0 + gap)}, STILL).pairs == pairs


def test_a_bad_pair_never_displaces_a_good_one_however_many_pairs_that_costs() -> None:
    """A satellite vanished on one side of a stable finding and another came on the other side."""
    then = {"A": ball(0, radius=10), "B": ball(-25, radius=6)}
    now = {"X": ball(0, radius=11), "Y": ball(25, radius=6)}
    found = match(then, now, STILL)
    assert found.pairs == {"X": "A"} and (found.beside, found.beside_then) == ({"Y"}, {"B"})
    touching = match(then | {"B": ball(-15, radius=6)}, now | {"Y": ball(15, radius=6)}, STILL)
    assert touching.pairs == {"X": "A"}, "nor where both touch it"


def test_a_small_finding_beside_a_large_one_stays_itself() -> None:
    then = {"large": ball(0, radius=18), "small": ball(24, radius=4)}
    now = {"SMALL": ball(25, radius=4), "LARGE": ball(1, radius=18)}
    assert match(then, now, STILL).pairs == {"SMALL": "small", "LARGE": "large"}


def test_what_overlaps_nothing_is_matched_by_its_gap_unless_it_may_have_merged() -> None:
    then, now = {"A": ball(0), "B": ball(40)}, {"X": ball(16), "Y": ball(57)}
    assert match(then, now, STILL).pairs == {"X": "A", "Y": "B"}
    doubtful = match({"A": ball(0), "B": ball(17)}, {"X": ball(0), "Y": ball(34)}, STILL)
    assert doubtful.pairs == {"X": "A"} and doubtful.beside == {"Y"} and doubtful.beside_then == {"B"}


def test_what_has_parted_or_merged_stands_beside() -> None:
    parted = match({"A": ball(0, radius=12)}, {"X": ball(-2, radius=6), "Y": ball(10)}, STILL)
    assert parted.pairs == {"X": "A"} and parted.beside == {"Y"}
    merged = match({"A": ball(-2, radius=6), "B": ball(10)}, {"X": ball(0, radius=12)}, STILL)
    assert merged.pairs == {"X": "A"} and merged.beside_then == {"B"} and not merged.beside


def test_without_findings_there_is_nothing_to_match() -> None:
    assert match({}, {"X": ball(0)}, STILL).pairs == {}
    assert match({"A": ball(0)}, {}, STILL).pairs == {}


def test_points_are_millimetres_of_the_patient_and_not_too_many() -> None:
    affine = np.array([[0, 0, 2.0, 10], [0, 3.0, 0, 20], [5.0, 0, 0, 30], [0, 0, 0, 1]])
    mask = np.zeros((4, 4, 4), np.bool_)
    mask[1, 2, 3] = True
    assert points_of(mask, affine).tolist() == [[16.0, 26.0, 35.0]]
    assert 5000 <= len(points_of(np.ones((40, 40, 40), np.bool_), np.eye(4))) <= 6000


def test_what_lies_among_findings_that_are_told_together_is_known() -> None:
    motion = np.eye(4)
    motion[:3, 3] = [100.0, 0.0, 0.0]
    findings = {"near": ball(0), "far": ball(60)}
    assert in_reach_of(findings, ball(112), motion) == {"near"}
    assert in_reach_of(findings, None, motion) == frozenset()


def test_what_lies_half_beyond_the_other_volume_is_outside() -> None:
    grid = hd.VolumeGeometry(np.diag([2.0, 1.0, 1.0, 1.0]), (20, 100, 100), "PATIENT")
    motion = np.eye(4)
    motion[0, 3] = -30.0
    findings = {"in": ball(40, 50, 50), "edge": ball(66, 50, 50), "over": ball(71, 50, 50), "far": ball(90, 50, 50)}
    assert outside(findings, grid, motion) == {"over", "far"}
