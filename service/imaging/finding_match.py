"""Matches findings of two registered CTs by their position: those that overlap most come first, each once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from service.imaging.registration import Affine

REACH_MM = 10.0
"""Two findings with a gap up to this between them may be one: a rigid motion leaves so much of breathing."""

_TOUCH_MM = 2.0
"""A voxel this near to the other finding lies in it: many findings are thinned to points some voxels apart."""

_MOST_POINTS = 5000

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Matched:
    """pairs: name now to name then. beside, beside_then: names without a match, now and then, that are in reach of a
    finding of the other CT, which was matched with another: one has parted, or two have merged."""

    pairs: Mapping[str, str]
    beside: frozenset[str] = frozenset()
    beside_then: frozenset[str] = frozenset()


def points_of(mask: NDArray[np.bool_], affine: Affine) -> Points:
    """Positions of voxels in LPS mm, shape (n, 3): every one, or evenly chosen ones of many.

    mask: axes (slice, row, column). affine: of these to mm.
    """
    index = np.argwhere(mask)[:: max(1, int(np.count_nonzero(mask)) // _MOST_POINTS)]
    return np.asarray(index @ affine[:3, :3].T + affine[:3, 3])


def in_reach_of(findings: Mapping[str, Points], others: Points | None, motion: Affine) -> frozenset[str]:
    """Names of the findings that lie within `REACH_MM` of other points. motion: of the findings, to where these are.

    others: None: there are none.
    """
    if others is None or not len(others):
        return frozenset()
    tree: Any = cKDTree(others)
    moved = {name: _moved(points, motion) for name, points in findings.items()}
    return frozenset(name for name, points in moved.items() if float(tree.query(points)[0].min()) <= REACH_MM)


def outside(findings: Mapping[str, Points], grid: hd.VolumeGeometry | hd.Volume, motion: Affine) -> frozenset[str]:
    """Names of the findings of which half or more lies beyond the voxels of a grid. motion: of the findings, to it."""
    to_index = grid.inverse_affine @ motion
    last = np.array(grid.spatial_shape) - 0.5
    found = set()
    for name, points in findings.items():
        index = _moved(points, to_index)
        beyond = np.logical_or(index < -0.5, index > last)
        if float(np.any(beyond, axis=1).mean()) >= 0.5:
            found.add(name)
    return frozenset(found)


def match(then: Mapping[str, Points], now: Mapping[str, Points], to_now: Affine) -> Matched:
    """Match findings, given by `points_of`. to_now: from positions in the earlier CT to those in the present one.

    The pair that overlaps most comes first, then the next one, so that no pair displaces a better one. Of what is left
    the pairs with the smallest gap follow, up to `REACH_MM`; but what is also in reach of a finding that was matched by
    its overlap is doubtful, and stands beside.
    """
    names_then, names_now = list(then), list(now)
    pairs = [_pair(now[here], _moved(then[there], to_now)) for here in names_now for there in names_then]
    shape = (len(names_now), len(names_then))
    shares = np.array([one.share for one in pairs]).reshape(shape)
    gaps = np.array([one.gap_mm for one in pairs]).reshape(shape)
    in_reach = gaps <= REACH_MM
    chosen = _best_first(-shares, shares > 0)
    rows, columns = [row for row, _ in chosen], [column for _, column in chosen]
    near_now = np.any(in_reach[:, columns], axis=1, keepdims=True)
    near_then = np.any(in_reach[rows], axis=0, keepdims=True)
    left = in_reach & ~near_now & ~near_then
    chosen += _best_first(gaps, left)
    found = {names_now[row]: names_then[column] for row, column in chosen}
    beside = {name for row, name in enumerate(names_now) if in_reach[row].any()} - found.keys()
    beside_then = {name for column, name in enumerate(names_then) if in_reach[:, column].any()} - {*found.values()}
    return Matched(found, frozenset(beside), frozenset(beside_then))


@dataclass(frozen=True, slots=True)
class _Pair:
    """How two findings lie: the gap between them, inf beyond `REACH_MM`; and the mean share of each that lies in the
    other, 0 to 1."""

    gap_mm: float
    share: float


def _pair(one: Points, other: Points) -> _Pair:
    to_other, to_one = (_nearest(*both) for both in ((one, other), (other, one)))
    share = float((to_other <= _TOUCH_MM).mean() + (to_one <= _TOUCH_MM).mean()) / 2.0
    return _Pair(float(to_other.min()), share)


def _nearest(points: Points, others: Points) -> NDArray[np.float64]:
    """From each point to the nearest of the others in mm; inf beyond `REACH_MM`."""
    tree: Any = cKDTree(others)
    return np.asarray(tree.query(points, distance_upper_bound=REACH_MM + 1e-6)[0])


def _best_first(cost: NDArray[np.float64], allowed: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Rows and columns, each once: of what is allowed always the pair with the least cost, of equals the first."""
    order = np.argsort(cost, axis=None, kind="stable")
    chosen: list[tuple[int, int]] = []
    rows, columns = set[int](), set[int]()
    for row, column in zip(*(axis.tolist() for axis in np.unravel_index(order, cost.shape)), strict=True):
        if allowed[row, column] and row not in rows and column not in columns:
            chosen.append((row, column))
            rows.add(row)
            columns.add(column)
    return chosen


def _moved(points: Points, motion: Affine) -> Points:
    return np.asarray(points @ motion[:3, :3].T + motion[:3, 3])
