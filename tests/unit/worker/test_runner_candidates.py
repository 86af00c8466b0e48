"""Versions on trial: what they analyse is labelled, and what they do costs no study its result."""

from dataclasses import replace
from pathlib import Path

import pytest
from runner_bench import ANALYSED, REFUSED, AnalysedStub, Bench, raising

from service.domain.findings import ModelUse
from service.domain.job import State
from service.errors import Permanent, Transient
from service.worker.analyst import Outcome


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_result_tells_its_models_and_candidates_in_the_shadow_are_to_follow(bench: Bench) -> None:
    class ByCandidate(AnalysedStub):
        models = (ModelUse("lung-opacity", "1", "a" * 64), ModelUse("lobes", "2", "b" * 64))

    bench.served.candidates, bench.served.shadowed = frozenset({"lobes"}), {"lobes": "2", "lungs": "1"}
    bench.analysis = lambda: replace(ANALYSED, analysis=ByCandidate())  # type: ignore[arg-type]
    bench.runner.analyse(bench.job_id, 1)
    (job,) = bench.overview.list_jobs()
    assert job["models"] == [
        {"name": "lung-opacity", "version": "1", "sha256": "a" * 64, "candidate": False},
        {"name": "lobes", "version": "2", "sha256": "b" * 64, "candidate": True},
    ]
    assert {("lung-opacity", "1"), ("lobes", "2")} <= set(bench.counted)
    assert bench.shadows.waiting(bench.job_id) == [("lobes", "2"), ("lungs", "1")]


def test_a_refused_study_has_nothing_for_a_candidate(bench: Bench) -> None:
    bench.served.shadowed = {"lobes": "2"}
    bench.analysis = lambda: REFUSED
    bench.runner.analyse(bench.job_id, 1)
    assert bench.shadows.to_run() == []


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Permanent("It refuses."), "It refuses."),
        (Transient("It is away."), "It is away."),
        (ValueError("PatientName is Doe^Jane"), "internal error ValueError"),
    ],
)
def test_a_candidate_that_fails_costs_no_study_its_result(bench: Bench, error: Exception, why: str) -> None:
    class ByActive(AnalysedStub):
        models = (ModelUse("lobes", "1", "a" * 64),)

    def analysis() -> Outcome:
        if bench.with_candidates:
            raise error
        return replace(ANALYSED, analysis=ByActive())  # type: ignore[arg-type]

    bench.served.candidates, bench.analysis = frozenset({"lobes"}), analysis
    assert bench.runner.analyse(bench.job_id, 1) == ["pacs"]
    (job,) = bench.overview.list_jobs()
    assert job["models"] == [{"name": "lobes", "version": "1", "sha256": "a" * 64, "candidate": False}]
    assert bench.seen == [("without", bench.job_id, "lobes", "2", why), ("study", "analysed")]


@pytest.mark.parametrize("error", [Permanent("Everything fails."), OSError(28, "No space left on device")])
def test_what_fails_without_the_candidate_too_is_not_its_fault(bench: Bench, error: Exception) -> None:
    bench.served.candidates, bench.analysis = frozenset({"lobes"}), raising(error)
    bench.runner.analyse(bench.job_id, 1)
    assert bench.state is (State.QUEUED if isinstance(error, OSError) else State.FAILED)
    assert not [what for what in bench.seen if what[0] == "without"]
