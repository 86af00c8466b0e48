from datetime import UTC, datetime, timedelta

import pytest

from service.domain.priority import (
    LONGEST_TURNS_S,
    TURN_S,
    Urgency,
    after_analysis,
    in_turn,
    most_urgent,
    requested,
    virtual_time_s,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


RANKED = [
    ("STAT, rank 0", virtual_time_s(NOW, Urgency.STAT, 0.0)),
    ("urgent, rank 1", virtual_time_s(NOW, Urgency.URGENT, 1.0)),
    ("urgent, rank 0", virtual_time_s(NOW, Urgency.URGENT, 0.0)),
    ("routine, no rank, more than an hour ago", virtual_time_s(NOW - timedelta(minutes=61), Urgency.ROUTINE)),
    ("routine, rank 1", virtual_time_s(NOW, Urgency.ROUTINE, 1.0)),
    ("routine, rank 0.4", virtual_time_s(NOW, Urgency.ROUTINE, 0.4)),
    ("routine, no rank, 20 minutes ago", virtual_time_s(NOW - timedelta(minutes=20), Urgency.ROUTINE)),
    ("routine, no rank", virtual_time_s(NOW, Urgency.ROUTINE)),
]


def test_a_rank_goes_before_what_came_up_to_an_hour_earlier_and_never_before_another_urgency() -> None:
    times = [time for _, time in RANKED]
    assert times == sorted(set(times))


def test_stat_goes_first_and_nothing_starves() -> None:
    waiting = {
        "routine, now": virtual_time_s(NOW, Urgency.ROUTINE),
        "routine, an hour ago": virtual_time_s(NOW - timedelta(hours=1), Urgency.ROUTINE),
        "routine, since yesterday": virtual_time_s(NOW - timedelta(hours=24), Urgency.ROUTINE),
        "urgent, now": virtual_time_s(NOW, Urgency.URGENT),
        "stat, now": virtual_time_s(NOW, Urgency.STAT),
    }
    assert sorted(waiting, key=lambda name: waiting[name]) == [
        "routine, since yesterday", "stat, now", "urgent, now", "routine, an hour ago", "routine, now"
    ]  # fmt: skip


@pytest.mark.parametrize("year", [1999, 2026, 2087])
def test_a_clock_that_is_wrong_makes_no_impossible_priority(year: int) -> None:
    assert 1 <= virtual_time_s(datetime(year, 6, 1, tzinfo=UTC), Urgency.STAT) < 2**31


@pytest.mark.parametrize(
    ("said", "urgency"),
    [("STAT", Urgency.STAT), ("stat", Urgency.STAT), ("HIGH", Urgency.URGENT), ("LOW", Urgency.ROUTINE),
     ("", Urgency.ROUTINE), ("now!", Urgency.ROUTINE)],
)  # fmt: skip
def test_what_an_image_says(said: str, urgency: Urgency) -> None:
    assert requested(said) is urgency


def test_an_urgent_result_makes_its_study_urgent_and_nothing_becomes_less_urgent() -> None:
    assert after_analysis(Urgency.ROUTINE, urgent=False) is Urgency.ROUTINE
    assert after_analysis(Urgency.ROUTINE, urgent=True) is Urgency.URGENT
    assert after_analysis(Urgency.STAT, urgent=True) is Urgency.STAT
    assert after_analysis(Urgency.URGENT, urgent=False) is Urgency.URGENT
    assert most_urgent(Urgency.ROUTINE, Urgency.STAT, Urgency.URGENT) is Urgency.STAT


def test_who_sends_many_studies_at_once_lets_others_come_in_between() -> None:
    flood: list[int] = []
    for number in range(100):
        flood.append(
            in_turn(virtual_time_s(NOW + timedelta(seconds=number), Urgency.ROUTINE), max(flood, default=None))
        )
    assert flood == sorted(set(flood)), "its own stay in their order"
    other = virtual_time_s(NOW + timedelta(minutes=2), Urgency.ROUTINE)
    assert sum(time < other for time in flood) == 120 / TURN_S
    assert in_turn(other, None) == other
    assert in_turn(other, flood[0]) == other, "whoever sends one now and then waits for nobody"


def test_whoever_has_used_idle_hours_does_not_wait_as_long_when_others_come() -> None:
    last = None
    for number in range(5000):
        now = virtual_time_s(NOW + timedelta(seconds=10 * number), Urgency.ROUTINE)
        last = in_turn(now, last)
    assert last is not None and last - now == LONGEST_TURNS_S
