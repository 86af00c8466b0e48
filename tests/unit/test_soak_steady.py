"""The steady load of `make soak`, and what it takes for memory that is flat."""

import time

import pytest

from tests.soak.load import MOST_WAITING, Load
from tests.soak.memory import Memory, is_flat
from tests.soak.run import Plan


def test_steady_load_waits_while_too_many_wait_and_ends_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def pass_by(seconds: float) -> None:
        nonlocal now
        now += seconds
        if now > 5.0:
            load.waiting = 0

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", pass_by)
    load = Load(60.0)
    steady = load.steady(Plan(minutes=1).uids())
    first = next(steady)
    load.waiting = MOST_WAITING
    assert next(steady) != first
    assert now > 5.0, "it waited until fewer waited"
    now = 60.0
    assert list(steady) == []


def test_memory_is_compared_within_the_time_without_kills() -> None:
    memory = Memory([], lambda: 0.0)
    memory.samples["worker"] = [(0.1, 900), (0.5, 300), (0.7, 100), (0.8, 110), (0.9, 120), (1.0, 130), (1.1, 9000)]
    memory.samples["late"] = [(0.9, 100)]
    assert memory.medians() == {"worker": (105, 125)}
    assert memory.peaks() == {"worker": 9000, "late": 100}


@pytest.mark.parametrize(
    ("first", "second", "flat"),
    [(400e6, 415e6, True), (400e6, 421e6, False), (100e6, 115e6, True), (100e6, 117e6, False), (400e6, 100e6, True)],
)
def test_growth_within_the_bound_is_flat(first: float, second: float, flat: bool) -> None:
    assert is_flat(round(first), round(second)) is flat
