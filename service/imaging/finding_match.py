"""Matches findings of two registered CTs by their position: the nearest ones, each once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from service.imaging.registration import Affine

REACH_MM = 10.0
"""Two findings with a gap up to this between them may be one: a rigid motion leaves so much of breathing."""

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
    moved = {name: points @ motion[:3, :3].T + motion[:3, 3] for name, points in findings.items()}
    return frozenset(name for name, points in moved.items() if float(tree.query(points)[0].min()) <= REACH_MM)


def match(then: Mapping[str, Points], now: Mapping[str, Points], to_now: Affine) -> Matched:
    """Match findings, given by `points_of`. to_now: from positions in the earlier CT to those in the present one.

    Of all ways to pair findings whose gap is at most `REACH_MM` the one with most pairs is taken, and of these the one
    with the least sum of distances between centres.
    """
    names_then, names_now = list(then), list(now)
    if not names_then or not names_now:
        return Matched({})
    moved = [then[name] @ to_now[:3, :3].T + to_now[:3, 3] for name in names_then]
    trees: list[Any] = [cKDTree(now[name]) for name in names_now]
    gaps = np.array([[float(tree.query(points)[0].min()) for points in moved] for tree in trees])
    centres_then, centres_now = (np.array([one.mean(0) for one in every]) for every in (moved, list(now.values())))
    far = np.linalg.norm(centres_now[:, None] - centres_then[None], axis=-1)
    in_reach = gaps <= REACH_MM
    cost = np.where(in_reach, far, far.sum() + 1e6)
    rows, columns = linear_sum_assignment(cost)
    chosen = [(r, c) for r, c in zip(rows.tolist(), columns.tolist(), strict=True) if in_reach[r, c]]
    pairs = {names_now[row]: names_then[column] for row, column in chosen}
    beside = {name for row, name in enumerate(names_now) if in_reach[row].any()} - pairs.keys()
    beside_then = {name for column, name in enumerate(names_then) if in_reach[:, column].any()} - {*pairs.values()}
    return Matched(pairs, frozenset(beside), frozenset(beside_then))
