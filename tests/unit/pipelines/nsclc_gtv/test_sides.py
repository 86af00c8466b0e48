"""The lung of a finding: by its lobes where they hold most of it, else by the spine."""

import pytest

from service.domain.anatomy import Lobe
from service.pipelines.nsclc_gtv.sides import Side, sides_of
from service.pipelines.nsclc_gtv.whereabouts import Place

RIGHT, LEFT = frozenset({Side.RIGHT}), frozenset({Side.LEFT})
BOTH = RIGHT | LEFT


def place(overlap: float, **lobes: float) -> Place:
    return Place({Lobe[name]: part for name, part in lobes.items()}, overlap, 0.0, None)


@pytest.mark.parametrize(
    ("where", "right_by_spine", "sides", "doubtful"),
    [
        (place(0.9, RUL=1.0), 0.0, RIGHT, False),
        (place(0.9, RUL=0.6, LUL=0.4), 0.0, BOTH, False),
        (place(0.4, RUL=1.0), 0.0, BOTH, True),
        (place(0.0, RML=1.0), 0.1, BOTH, True),
        (place(0.0, LUL=1.0), 0.0, LEFT, False),
        (place(0.2, RUL=1.0), 1.0, RIGHT, False),
        (place(0.2, RUL=1.0), 0.6, BOTH, False),
        (None, 1.0, RIGHT, False),
        (None, 0.5, BOTH, False),
    ],
)
def test_the_spine_is_asked_where_most_lies_in_no_lobe(
    where: Place | None, right_by_spine: float, sides: frozenset[Side], doubtful: bool
) -> None:
    assert sides_of(where, right_by_spine) == (sides, doubtful)
