from helpers.arrivals import at
from hypothesis import given
from hypothesis import strategies as st

from service.domain.completion import Silence, StudyState, due, job_id, quiet_by_wall_clock

TICK_S = 0.5
TWO_HOURS = 7200.0


def study(revision: int = 3, job_revision: int = 0, last_ct_s: float = 0) -> StudyState:
    return StudyState("S", "CT1", revision, job_revision, last_ct_at=at(last_ct_s))


def test_a_study_is_due_when_it_was_quiet_for_long_enough() -> None:
    assert not due(study(), 59.9, quiet_s=60)
    assert due(study(), 60, quiet_s=60)


def test_a_study_with_a_job_is_due_only_after_a_change() -> None:
    assert not due(study(revision=3, job_revision=3), 1000, quiet_s=60)
    assert due(study(revision=4, job_revision=3), 1000, quiet_s=60)


def test_an_image_from_the_future_counts_as_from_now() -> None:
    assert quiet_by_wall_clock([study(last_ct_s=100)], at(160)) == {"S": 60}
    assert quiet_by_wall_clock([study(last_ct_s=TWO_HOURS)], at(0)) == {"S": 0}


def test_the_first_look_believes_the_database() -> None:
    assert Silence().look([study(last_ct_s=0)], at(45), monotonic_s=1e6) == {"S": 45}


def test_a_clock_set_forward_ends_no_quiet_period() -> None:
    silence = Silence()
    silence.look([study(1)], at(0), 0)
    silence.look([study(2, last_ct_s=3)], at(3), 3)
    assert silence.look([study(2, last_ct_s=3)], at(TWO_HOURS), 5) == {"S": 2}


def test_a_clock_set_back_prolongs_no_quiet_period() -> None:
    silence = Silence()
    silence.look([study(1, last_ct_s=TWO_HOURS)], at(TWO_HOURS), 0)
    assert silence.look([study(1, last_ct_s=TWO_HOURS)], at(0), 60) == {"S": 60}


def test_a_study_seen_for_the_first_time_later_has_just_changed() -> None:
    silence = Silence()
    silence.look([], at(0), 0)
    assert silence.look([study(last_ct_s=-TWO_HOURS)], at(10), 10) == {"S": 0}


@given(
    slices=st.lists(st.floats(0.1, 9.0), min_size=1, max_size=20),
    jumps=st.lists(st.floats(-TWO_HOURS, TWO_HOURS), min_size=20, max_size=20),
)
def test_whatever_the_wall_clock_does_a_study_is_due_once_and_in_time(slices: list[float], jumps: list[float]) -> None:
    """slices: seconds between one and the next, all within the quiet period of 10 s; the clock is set before each."""
    silence, now_s, wall_s = Silence(), 0.0, 0.0
    silence.look([], at(0), 0)
    for n, (wait_s, jump_s) in enumerate(zip(slices, jumps, strict=False)):
        wall_s += jump_s
        current = study(n + 1, last_ct_s=wall_s)
        arrived_s = now_s
        while now_s < arrived_s + wait_s:
            quiet_s = silence.look([current], at(wall_s + now_s - arrived_s), now_s)["S"]
            assert not due(current, quiet_s, quiet_s=10), "slices still come"
            now_s += TICK_S
        wall_s += now_s - arrived_s
    looks = 0
    while not due(current, silence.look([current], at(wall_s), now_s)["S"], quiet_s=10):
        now_s, looks = now_s + TICK_S, looks + 1
    assert looks <= 10 / TICK_S + 1


def test_a_job_is_named_after_study_revision_and_content() -> None:
    name = job_id("S", 2, ["aa", "bb"], "p")
    assert name == job_id("S", 2, ["bb", "aa"], "p")
    others = (
        ("T", 2, ["aa", "bb"], "p"),
        ("S", 3, ["aa", "bb"], "p"),
        ("S", 2, ["aa"], "p"),
        ("S", 2, ["aa", "bb"], "q"),
    )
    assert len({name, *(job_id(*other) for other in others)}) == 5
    assert job_id("S", 2, ["aa", "bb"], "") == "6d7a035e79fc884a", "as before there were several pipelines"
