"""Windows: together they own each pixel of the region once, each lies in the plane, and there are few."""

from math import ceil, prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pipelines.shared.windows import windows

PLANE, SIZE = (64, 80), (24, 32)


@st.composite
def regions(draw: st.DrawFn) -> tuple[slice, slice]:
    parts = []
    for side in PLANE:
        start = draw(st.integers(0, side - 1))
        parts.append(slice(start, draw(st.integers(start + 1, side))))
    return parts[0], parts[1]


@given(regions())
def test_each_pixel_of_the_region_is_seen_and_one_window_s_own(region: tuple[slice, slice]) -> None:
    owners = np.zeros(PLANE, int)
    found = list(windows(region, SIZE, PLANE))
    for window in found:
        seen = np.zeros(PLANE, bool)
        seen[window.seen] = True
        assert seen.sum() == prod(SIZE), "it lies in the plane"
        own = np.zeros(PLANE, int)
        own[window.own] = 1
        assert seen[own > 0].all(), "it answers for what it sees"
        assert (seen[window.seen][window.own_in_seen]).size == own.sum()
        assert np.array_equal(np.argwhere(own)[0] - [part.start for part in window.seen], _first(window.own_in_seen))
        owners += own
    assert (owners[region] == 1).all()
    assert len(found) == prod(ceil((p.stop - p.start) / size) for p, size in zip(region, SIZE, strict=True))


def _first(parts: tuple[slice, slice]) -> list[int]:
    return [part.start for part in parts]


@pytest.mark.parametrize(
    ("region", "seen"),
    [
        ((slice(20, 30), slice(30, 50)), (slice(13, 37), slice(24, 56))),
        ((slice(0, 10), slice(70, 80)), (slice(0, 24), slice(48, 80))),
    ],
)
def test_a_small_region_lies_in_the_middle_unless_the_plane_ends(
    region: tuple[slice, slice], seen: tuple[slice, slice]
) -> None:
    (window,) = windows(region, SIZE, PLANE)
    assert window.seen == window.own == seen
