"""Versions on trial: what they analyse is labelled, and what they do costs no study its result."""

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.runner_bench import ANALYSED, NOW, REFUSED, AnalysedStub, Bench, raising

from service.analysis.analyst import Outcome
from service.domain.analysis import ModelUse
from service.domain.job_state import State
from service.domain.work import Deliver
from service.errors import Permanent, Reason, Refusal, Transient


class ByActive(AnalysedStub):
    models = (ModelUse("lobes", "1", "a" * 64),)


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
    def analysis() -> Outcome:
        if bench.with_candidates:
            raise error
        return replace(ANALYSED, analysis=ByActive())  # type: ignore[arg-type]

    bench.served.candidates, bench.analysis = frozenset({"lobes"}), analysis
    assert bench.runner.analyse(bench.job_id, 1) == Deliver(("pacs",))
    (job,) = bench.overview.list_jobs()
    assert job["models"] == [{"name": "lobes", "version": "1", "sha256": "a" * 64, "candidate": False}]
    assert bench.seen == [("without", bench.job_id, "lobes", "2", why), ("study", "analysed")]


@pytest.mark.parametrize("error", [Permanent("Everything fails."), OSError(28, "No space left on device")])
def test_what_fails_without_the_candidate_too_is_not_its_fault(bench: Bench, error: Exception) -> None:
    bench.served.candidates, bench.analysis = frozenset({"lobes"}), raising(error)
    bench.runner.analyse(bench.job_id, 1)
    assert bench.state is (State.QUEUED if isinstance(error, OSError) else State.FAILED)
    assert not [what for what in bench.seen if what[0] == "without"]


def asked(outcome: Outcome, *models: str) -> Outcome:
    """An outcome that these models' version 2 had answered before."""
    return replace(outcome, asked=tuple(ModelUse(name, "2", "b" * 64) for name in models))


NO_LUNG = replace(REFUSED, refusals={"1.2": (Refusal(Reason.NO_LUNG, ""),)})


@pytest.mark.parametrize(
    "refused",
    [NO_LUNG, replace(ANALYSED, series_uid="1.1", refusals=NO_LUNG.refusals)],
    ids=["the study", "the better series"],
)
def test_what_a_candidate_refuses_and_the_active_version_analyses_is_analysed(bench: Bench, refused: Outcome) -> None:
    usual = replace(ANALYSED, analysis=ByActive())  # type: ignore[arg-type]
    bench.served.candidates = frozenset({"lobes", "lungs"})
    bench.analysis = lambda: asked(refused, "lobes") if bench.with_candidates else usual
    assert bench.runner.analyse(bench.job_id, 1) == Deliver(("pacs",))
    (job,) = bench.overview.list_jobs()
    assert (job["state"], job["series_uid"]) == (State.DELIVERING, "1.2")
    assert job["models"] == [{"name": "lobes", "version": "1", "sha256": "a" * 64, "candidate": False}]
    why = "it refuses what the active version analyses: NO_LUNG"
    assert bench.seen == [("without", bench.job_id, "lobes", "2", why), ("study", "analysed")]


def test_a_refusal_that_the_active_version_shares_names_the_models_that_were_asked(bench: Bench) -> None:
    bench.served.candidates = frozenset({"lobes"})
    bench.analysis = lambda: asked(NO_LUNG, "lobes", "lungs")
    bench.runner.analyse(bench.job_id, 1)
    (job,) = bench.overview.list_jobs()
    assert job["state"] == State.REFUSED
    assert job["models"] == [
        {"name": "lobes", "version": "2", "sha256": "b" * 64, "candidate": True},
        {"name": "lungs", "version": "2", "sha256": "b" * 64, "candidate": False},
    ]
    assert {("lobes", "2"), ("lungs", "2")} <= set(bench.counted)
    assert bench.seen == [("study", "refused")], "the candidate is not at fault"


@pytest.mark.parametrize("models", [(), ("lungs",)])
def test_what_the_candidate_was_not_asked_about_is_analysed_once(bench: Bench, models: tuple[str, ...]) -> None:
    analyses = []

    def analysis() -> Outcome:
        analyses.append(bench.with_candidates)
        return asked(REFUSED, *models)

    bench.served.candidates, bench.analysis = frozenset({"lobes"}), analysis
    bench.runner.analyse(bench.job_id, 1)
    assert (bench.state, analyses) == (State.REFUSED, [True])


def test_a_candidate_that_may_have_killed_the_process_is_not_asked_again(bench: Bench) -> None:
    bench.served.candidates, bench.analysis = frozenset({"lobes"}), killed
    with pytest.raises(KeyboardInterrupt):
        bench.runner.analyse(bench.job_id, 1)
    assert (bench.state, bench.with_candidates) == (State.RUNNING, True)
    bench.analysis = lambda: replace(ANALYSED, analysis=ByActive())  # type: ignore[arg-type]
    assert bench.runner.analyse(bench.job_id, 1) == Deliver(("pacs",))
    assert not bench.with_candidates
    (job,) = bench.overview.list_jobs()
    assert job["models"] == [{"name": "lobes", "version": "1", "sha256": "a" * 64, "candidate": False}]
    why = "the run before did not end; its process may have died of it"
    assert bench.seen == [("without", bench.job_id, "lobes", "2", why), ("study", "analysed")]


def test_where_a_killed_run_kept_what_the_candidate_found_nobody_is_told_otherwise(bench: Bench) -> None:
    class ByCandidate(AnalysedStub):
        models = (ModelUse("lobes", "2", "b" * 64),)

    bench.served.candidates = frozenset({"lobes"})
    bench.jobs.start(bench.job_id, NOW)
    bench.runner._save(bench.jobs.get(bench.job_id), replace(ANALYSED, analysis=ByCandidate()), {"lobes"})  # type: ignore[arg-type]
    bench.analysis = lambda: replace(ANALYSED, analysis=ByActive())  # type: ignore[arg-type]
    bench.runner.analyse(bench.job_id, 1)
    (job,) = bench.overview.list_jobs()
    assert job["models"] == [{"name": "lobes", "version": "2", "sha256": "b" * 64, "candidate": True}]
    assert bench.seen == [("study", "analysed")]


def killed() -> Outcome:
    """As much of a kill as a test survives: nothing after it is recorded."""
    raise KeyboardInterrupt
