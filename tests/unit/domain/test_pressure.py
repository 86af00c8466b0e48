from hypothesis import given
from hypothesis import strategies as st

from service.domain.pressure import Marks, TurnedAway

GB = 1e9
MARKS = Marks(min_free_bytes=2 * GB, resume_free_bytes=4 * GB, max_waiting=100)


def by_space(*free_gb: float) -> list[str]:
    """What is refused, look by look."""
    what, seen = TurnedAway.NOTHING, []
    for one in free_gb:
        what = MARKS.by_space(one * GB, what)
        seen.append(what.name)
    return seen


def test_below_the_low_mark_new_studies_are_refused_until_the_high_one() -> None:
    assert by_space(3, 2, 1.9, 2.1, 3.9, 4, 3) == ["NOTHING"] * 2 + ["NEW_STUDIES"] * 3 + ["NOTHING"] * 2


def test_below_half_of_it_everything_is_refused_until_the_low_mark() -> None:
    assert by_space(0.9, 1.9, 2, 4) == ["EVERYTHING"] * 2 + ["NEW_STUDIES", "NOTHING"]


def test_the_queue_refuses_at_its_limit_until_a_tenth_is_done() -> None:
    assert MARKS.by_queue(99, TurnedAway.NOTHING) is TurnedAway.NOTHING
    assert MARKS.by_queue(100, TurnedAway.NOTHING) is TurnedAway.NEW_STUDIES
    assert MARKS.by_queue(90, TurnedAway.NEW_STUDIES) is TurnedAway.NEW_STUDIES
    assert MARKS.by_queue(89, TurnedAway.NEW_STUDIES) is TurnedAway.NOTHING


def test_without_limits_nothing_is_refused() -> None:
    assert Marks().by_space(0, TurnedAway.EVERYTHING) is TurnedAway.NOTHING
    assert Marks().by_queue(10**9, TurnedAway.NEW_STUDIES) is TurnedAway.NOTHING


@given(st.sampled_from(TurnedAway), st.floats(0, 1e13), st.integers(1, 10**6))
def test_whatever_was_refused_ends_when_there_is_space_and_no_queue(what: TurnedAway, more: float, limit: int) -> None:
    assert Marks(2 * GB, 4 * GB).by_space(4 * GB + more, what) is TurnedAway.NOTHING
    assert Marks(max_waiting=limit).by_queue(0, what) is TurnedAway.NOTHING
