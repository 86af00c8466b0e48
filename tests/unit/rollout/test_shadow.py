"""Shadow mode: what a candidate says is kept apart, compared and counted, and its failures are its own."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from helpers import arrivals, make_ct, tiny_models
from helpers.databases import open_database
from helpers.runner_bench import Unwatched

from service.analysis.analyst import Outcome
from service.analysis.open_study import Studies
from service.domain.job import Result
from service.domain.job_state import State
from service.domain.retry import RetryPolicy
from service.domain.work import DONE, TryAgain
from service.errors import Permanent, Reason, Refusal, Transient
from service.imaging.difference import Difference
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.covid_severity.pipeline import CovidSeverity
from service.rollout.shadow import Shadower
from service.rollout.worker_analysis import WorkerAnalysis
from service.store.deliveries import Deliveries
from service.store.inbox import Inbox
from service.store.jobs import Jobs
from service.store.records import Records
from service.store.retention import Retention
from service.store.shadows import Shadow, Shadows, results_of
from service.store.spool import Spool
from service.store.study_tables import StudyTables

NOW = arrivals.at(300)
ACTIVE, CANDIDATE = object(), object()


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Outcome]:
    """One CT, analysed by two versions of the lobes."""
    root = tiny_models.repository(tmp_path_factory.mktemp("models") / "own")
    tiny_models.serve(root, tiny_models.lobes(), tiny_models.LOBES)
    ct = read_ct(make_ct.make(findings=make_ct.FINDINGS, slices=44, spacing_mm=5.0).datasets)
    outcomes = {}
    for version in ("1", "2"):
        backend = OnnxBackend(root, 1, {"lobes": version})
        analysis = CovidSeverity().analyse(ct, backend, lambda stage, part: None)
        outcomes[version] = Outcome(ct.series_uid, analysis, (), {}, {}, {"lobes": version})
    return outcomes


class Bench:
    """A shadower with one analysed job, whose candidate is lobes 2."""

    def __init__(self, folder: Path, analysed: Mapping[str, Outcome]) -> None:
        engine = open_database(folder / "records.db")
        self.clock = NOW
        self.counted: list[tuple[Any, ...]] = []
        self.analyses: dict[object, Callable[[], Outcome]] = {
            ACTIVE: lambda: analysed["1"],
            CANDIDATE: lambda: analysed["2"],
        }
        self.both: tuple[object, object] | None = (ACTIVE, CANDIDATE)
        self.folder, spool = folder, Spool(folder)
        records, self.jobs, self.shadows = Records(engine), Jobs(engine), Shadows(engine)
        self.inbox, self.retention, self.spool = Inbox(spool, records), Retention(engine), spool
        self.records, self.deliveries = records, Deliveries(engine)
        self.inbox.take(arrivals.arrival())
        (self.job_id,) = arrivals.create_due_jobs(records, NOW, lambda _: 1.0)
        self.jobs.start(self.job_id, NOW)
        self.jobs.finish(self.job_id, Result(series_uid="S.1", shadows={"lobes": "2"}), NOW)
        self.shadower = Shadower(
            WorkerAnalysis(
                {arrivals.PIPELINE: self},  # type: ignore[dict-item]
                self,  # type: ignore[arg-type]
                Unwatched(),  # type: ignore[arg-type]
                Studies(spool, records, lambda study, series: {}),
            ),
            StudyTables.on(engine),
            spool,
            self,
            RetryPolicy((60.0,), timedelta(hours=1)),
            lambda: self.clock,
        )

    def beside(self, model: str, version: str) -> Any:
        assert (model, version) == ("lobes", "2")
        return self.both

    def on(self, backend: object) -> Any:
        class Asked:
            analyse = staticmethod(lambda *study: self.analyses[backend]())

        return Asked

    def shadow(self, pipeline: str, model: str, version: str, outcome: str, difference: Difference | None) -> None:
        self.counted.append((pipeline, model, version, outcome, difference and difference.headline_change))

    def ended(self) -> Mapping[str, Any]:
        (row,) = self.shadows.of("lobes")
        assert self.shadows.to_run() == []
        return row

    def supersede(self) -> None:
        self.inbox.take(arrivals.arrival("2", content=b"another"))
        arrivals.create_due_jobs(self.records, NOW, lambda _: 1.0)

    def cancel(self) -> None:
        self.deliveries.cancel(self.job_id, "Kim", NOW)

    def purge(self) -> None:
        later = datetime.now(UTC) + timedelta(days=1)
        assert self.retention.give_up("S", later, later) is not None
        while self.retention.remove("S", self.spool):
            pass

    def kept(self) -> list[str]:
        return [path.name for path in (self.folder / "results").glob("*/*")]

    def raises(self, error: Exception) -> None:
        def analyse() -> Outcome:
            raise error

        self.analyses[CANDIDATE] = analyse


@pytest.fixture
def bench(tmp_path: Path, analysed: Mapping[str, Outcome]) -> Bench:
    return Bench(tmp_path, analysed)


@pytest.mark.slow
def test_the_difference_is_recorded_and_counted_and_the_results_are_kept_apart(bench: Bench) -> None:
    assert bench.shadows.to_run() == [bench.job_id]
    assert bench.shadower.analyse(bench.job_id, 1) == DONE
    row = bench.ended()
    assert row["state"] == Shadow.COMPARED
    assert row["document"]["pipeline"] == arrivals.PIPELINE
    versions = [{m["name"]: m["version"] for m in row["document"][side]} for side in ("reference", "candidate")]
    assert [found["lobes"] for found in versions] == ["1", "2"]
    assert row["document"]["difference"]["labels"]["lobes"]["dice"] == 1.0, "the lungs are the same model's"
    assert row["document"]["difference"]["worst_dice"] < 1.0
    change = row["document"]["difference"]["headline_change"]
    assert bench.counted == [(arrivals.PIPELINE, "lobes", "2", "compared", change)]
    kept = bench.folder / "results" / f"{bench.job_id}-shadow-lobes-2"
    assert [path.name for path in kept.iterdir()] == bench.kept() == ["result.json"]
    assert bench.jobs.objects(bench.job_id) == [], "none of it is a result of the job"
    assert bench.shadower.analyse(bench.job_id, 1) == DONE, "once more is no more"
    assert len(bench.counted) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Permanent("the model failed"), "the model failed"),
        (ZeroDivisionError("a patient's name"), "internal error ZeroDivisionError"),
        (MemoryError(), "internal error MemoryError"),
    ],
)
def test_a_candidate_that_fails_harms_nothing(bench: Bench, error: Exception, said: str) -> None:
    bench.raises(error)
    assert bench.shadower.analyse(bench.job_id, 1) == DONE
    assert (bench.ended()["state"], bench.ended()["error"]) == (Shadow.FAILED, said)
    assert bench.counted == [(arrivals.PIPELINE, "lobes", "2", "failed", None)]
    assert bench.jobs.get(bench.job_id).state is State.ANALYSED


def test_a_server_that_is_away_is_asked_again_but_not_for_ever(bench: Bench) -> None:
    bench.raises(Transient("away"))
    assert bench.shadower.analyse(bench.job_id, 1) == TryAgain(60.0)
    assert bench.shadows.to_run() == [bench.job_id]
    bench.clock = NOW + timedelta(hours=2)
    assert bench.shadower.analyse(bench.job_id, 2) == DONE
    assert (bench.ended()["state"], bench.ended()["error"]) == (Shadow.FAILED, "away")


def test_a_candidate_that_refuses_what_the_active_version_analyses_is_told(bench: Bench) -> None:
    refused = Outcome(None, None, (), {"1.2": (Refusal(Reason.NO_LUNG, ""),)}, {}, {})
    bench.analyses[CANDIDATE] = lambda: refused
    bench.shadower.analyse(bench.job_id, 1)
    assert bench.ended()["state"] == Shadow.FAILED
    assert "candidate: refused, NO_LUNG" in bench.ended()["error"]


def test_after_a_withdrawal_nothing_is_analysed(bench: Bench) -> None:
    bench.raises(AssertionError("not to be asked"))
    bench.both = None
    bench.shadower.analyse(bench.job_id, 1)
    assert bench.ended()["state"] == Shadow.WITHDRAWN


ENDS = [Bench.cancel, Bench.supersede, Bench.purge]


@pytest.mark.parametrize("end", ENDS)
def test_a_job_that_was_cancelled_superseded_or_purged_is_analysed_no_more(
    bench: Bench, end: Callable[[Bench], None]
) -> None:
    bench.raises(AssertionError("not to be asked"))
    end(bench)
    assert bench.shadower.analyse(bench.job_id, 1) == DONE
    assert bench.ended()["state"] == Shadow.WITHDRAWN


def test_a_purge_ends_what_only_waits_though_no_candidate_ever_has_its_turn(bench: Bench) -> None:
    bench.purge()
    assert bench.ended()["state"] == Shadow.WITHDRAWN


@pytest.mark.parametrize("end", ENDS)
def test_of_a_job_that_ends_meanwhile_nothing_is_kept(
    bench: Bench, analysed: Mapping[str, Outcome], end: Callable[[Bench], None]
) -> None:
    def analyse() -> Outcome:
        end(bench)
        return analysed["2"]

    bench.analyses[CANDIDATE] = analyse
    assert bench.shadower.analyse(bench.job_id, 1) == DONE
    assert (bench.ended()["state"], bench.kept()) == (Shadow.WITHDRAWN, [])


def test_after_a_kill_the_files_are_those_of_the_run_that_is_recorded(bench: Bench) -> None:
    """The first run was that of another active version: what it kept is not what the row says."""
    bench.spool.save_results(results_of(bench.job_id, "lobes", "2"), {"result.json": b"first", "lobes.seg.dcm": b"1"})
    bench.shadower.analyse(bench.job_id, 1)
    assert bench.ended()["state"] == Shadow.COMPARED
    assert bench.kept() == ["result.json"]
    (file,) = (bench.folder / "results").glob("*/result.json")
    assert json.loads(file.read_bytes()) == {"lobes": "2"}


def test_when_its_processes_died_again_and_again_it_is_told(bench: Bench) -> None:
    bench.shadower.abandon(bench.job_id)
    assert bench.ended()["error"] == "the worker process died repeatedly meanwhile"
