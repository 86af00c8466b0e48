"""The pure rules of the benchmarks: what a value is and when a target is met."""

from pathlib import Path

import pytest

from bench.figures import Figure, Target, columns
from bench.results import read_runs, without_parts, write_runs


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (Target(30), 30.0, True),
        (Target(30), 30.1, False),
        (Target(100, at_least=True), 100.0, True),
        (Target(100, at_least=True), 99.9, False),
    ],
)
def test_a_target_is_met_up_to_its_limit(target: Target, value: float, met: bool) -> None:
    assert target.met(value) is met


def test_the_median_decides_and_not_the_best_run() -> None:
    seconds = Figure("seg", "lobes", "s", (2.0, 3.0, 4.0), Target(2.5))
    assert (seconds.median, seconds.best, seconds.met) == (3.0, 2.0, False)
    speed = Figure("receive", "one", "images/s", (90.0, 110.0, 120.0), Target(100, at_least=True), more_is_better=True)
    assert (speed.median, speed.best, speed.met) == (110.0, 120.0, True)


def test_without_a_target_nothing_is_met_or_missed() -> None:
    figure = Figure("analyse", "read", "s", (1.0,))
    assert figure.met is None
    assert figure.document()["target"] is None


def test_repetitions_are_gathered_by_quantity() -> None:
    assert columns([{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}]) == {"a": (1.0, 3.0), "b": (2.0, 4.0)}


def test_who_measures_one_part_keeps_the_others_with_their_machine(tmp_path: Path) -> None:
    def run(commit: str, *parts: str) -> dict[str, object]:
        return {"machine": {"commit": commit}, "figures": [{"part": part, "name": commit} for part in parts]}

    file = tmp_path / "results.json"
    assert read_runs(file) == []
    for new in (run("a", "receive", "seg"), run("b", "seg", "thin"), run("c", "thin"), run("d", "receive")):
        parts = {str(figure["part"]) for figure in new["figures"]}  # type: ignore[attr-defined]
        write_runs(file, (*without_parts(read_runs(file), parts), new))
    assert read_runs(file) == [run("b", "seg"), run("c", "thin"), run("d", "receive")]
