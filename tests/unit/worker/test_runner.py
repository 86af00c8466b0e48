"""What the durable engine drives, on real tables and files; only the analysis and the network are stand-ins."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import arrivals
import pytest
import tiny_models
from pydicom import Dataset
from sqlalchemy.exc import OperationalError

from service.domain.findings import ModelUse, Region
from service.domain.job import IllegalTransition, State
from service.domain.model_spec import ModelSpec
from service.domain.priority import Urgency
from service.domain.retry import RetryPolicy
from service.errors import Flag, Permanent, Reason, Refusal, Transient
from service.evidence.context import Evidence
from service.inference.mixed import Mixed
from service.network.send import StoreOutcome, Verdict
from service.store.audit import Audit
from service.store.deliveries import Deliveries
from service.store.engine import sqlite_engine
from service.store.inbox import Inbox
from service.store.jobs import Jobs
from service.store.migrations import upgrade
from service.store.overview import Overview
from service.store.records import Records
from service.store.retention import Retention
from service.store.reviews import Reviews
from service.store.shadows import Shadows
from service.store.spool import Spool
from service.worker.analyst import Outcome
from service.worker.delivery import Courier, Destination
from service.worker.models import Assigned
from service.worker.operator import Operator
from service.worker.runner import Runner
from service.worker.study import Studies

NOW = arrivals.at(300)
REFUSED = Outcome(
    None, None, (), {"1.2": (Refusal(Reason.TILT, "12 degrees."),)}, {"check": 1.0}, {"status": "refused"}
)


class AnalysedStub:
    """As much of an Analysis as the runner looks at."""

    flags = ()
    models: tuple[ModelUse, ...] = ()
    lungs = MappingProxyType({"total": Region(4000.0, 100.0, 20.0, -800.0)})

    class severity:
        total = 7


class SevereStub(AnalysedStub):
    class severity:
        total = 15


ANALYSED = Outcome(
    "1.2",
    AnalysedStub(),  # type: ignore[arg-type]
    (
        Evidence("lobes", "lobes.seg.dcm", b"seg", "1.2.840.1", "1.9.1"),
        Evidence("study", "s.dcm", b"sr", "1.2.840.2", "1.9.2"),
    ),
    {},
    {"check": 1.0},
    {"status": "analysed"},
)


class Queued:
    """A back end that notes how urgent the studies are for which it is asked."""

    def __init__(self) -> None:
        self.urgencies: list[Urgency] = []

    def at(self, urgency: Urgency) -> "Queued":
        self.urgencies.append(urgency)
        return self

    def spec(self, name: str) -> ModelSpec:
        return replace(tiny_models.LOBES, version="2")


class Served:
    """The models, of which `candidates` analyse the study; `shadowed` are to analyse it too."""

    def __init__(self) -> None:
        self.backend = Queued()
        self.candidates: frozenset[str] = frozenset()
        self.shadowed: dict[str, str] = {}

    def for_study(self, study_uid: str) -> Assigned:
        assert study_uid == "S"
        return Assigned(self.backend, dict.fromkeys(self.candidates, self.backend))  # type: ignore[arg-type]

    def shadows(self) -> dict[str, str]:
        return self.shadowed


class Bench:
    """A runner with one job; `analysis` and `verdicts` decide what happens."""

    def __init__(self, folder: Path) -> None:
        engine = sqlite_engine(folder / "records.db")
        upgrade(engine)
        self.clock = NOW
        self.analysis: Callable[[], Outcome] = lambda: ANALYSED
        self.verdicts: Callable[[Path], Verdict] = lambda path: Verdict.STORED
        self.sent: list[str] = []
        self.with_candidates = False
        self.predecessors: list[list[str]] = []
        self.seen: list[tuple[Any, ...]] = []
        self.counted: list[tuple[Any, ...]] = []
        self.jobs, self.overview, self.shadows = Jobs(engine), Overview(engine), Shadows(engine)
        records, self.spool = Records(engine), Spool(folder)
        self._records, self._inbox, self._retention = records, Inbox(self.spool, records), Retention(engine)
        self._inbox.take(arrivals.arrival())
        (self.job_id,) = records.create_due_jobs(NOW, lambda _: 1.0)
        policy = RetryPolicy((5.0, 60.0), timedelta(hours=1))
        self.destinations = {"pacs": Destination(self.send, policy, frozenset(("lobes", "study")), "binary")}
        self.deliveries = Deliveries(engine)
        courier = Courier(self.destinations, self.spool, self.jobs, self.deliveries, self, lambda: self.clock)
        self.audit = Audit(engine, lambda: self.clock)
        self.operator = Operator(
            self.jobs, records, self.deliveries, Reviews(engine), courier, self.audit, lambda: self.clock
        )
        self.served = Served()
        self.runner = Runner(
            self,  # type: ignore[arg-type]
            self.served,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            Studies(self.spool, records, lambda study, series: {}),
            self.spool,
            records,
            self.jobs,
            courier,
            self,
            lambda job_id, priority: self.seen.append(("priority", priority)),
            lambda *without: self.seen.append(("without", *without)),
            lambda: self.clock,
        )

    def receive_another_slice(self) -> str:
        """The job of the study with one more slice."""
        return self.receive("2", b"another")

    def receive(self, instance: str, content: bytes) -> str:
        """The job of the study with this slice too."""
        self._inbox.take(arrivals.arrival(instance, content=content))
        (job_id,) = self._records.create_due_jobs(NOW, lambda _: 1.0)
        return job_id

    def deliver(self, job_id: str) -> None:
        self.runner.analyse(job_id, 1)
        self.runner.deliver(job_id, "pacs", 1)

    def purge(self) -> None:
        at = datetime.now(UTC) + timedelta(days=1)
        assert self._retention.give_up("S", at, at) is not None
        while self._retention.remove("S", self.spool):
            pass

    def on(self, backend: Any) -> "Bench":
        self.with_candidates = isinstance(backend, Mixed)
        assert self.with_candidates or backend is self.served.backend
        return self

    def analyse(self, *study: Any) -> Outcome:
        self.predecessors.append([p.sop_instance_uid for p in study[-1]])
        return self.analysis()

    def send(self, paths: Sequence[Path]) -> list[StoreOutcome]:
        self.sent += [p.name for p in paths]
        return [StoreOutcome(p, "", self.verdicts(p), None, "because") for p in paths]

    def study(self, outcome: str, timings_s: Mapping[str, float]) -> None:
        self.seen.append(("study", outcome))

    def analysed_by(self, model: str, version: str) -> None:
        self.counted.append((model, version))

    def scored(self, scanner: str, severity: int | None, opacity_percent: float) -> None:
        self.counted.append((scanner, severity, opacity_percent))

    def refused(self, scanner: str, reasons: Iterable[str]) -> None:
        self.counted.append((scanner, *reasons))

    def delivery(self, destination: str, outcome: str) -> None:
        self.seen.append(("delivery", outcome))

    def delivered(self, latency_s: float) -> None:
        self.seen.append(("delivered",))

    @property
    def state(self) -> State:
        return self.jobs.get(self.job_id).state

    @property
    def error(self) -> str:
        return str((self.overview.job(self.job_id) or {})["error"])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_an_analysed_job_is_saved_then_delivered(bench: Bench) -> None:
    assert bench.runner.analyse(bench.job_id, 1) == ["pacs"]
    assert bench.state is State.DELIVERING
    assert bench.runner.deliver(bench.job_id, "pacs", 1) is None
    assert bench.state is State.DELIVERED
    assert bench.sent == ["lobes.seg.dcm", "s.dcm"]
    assert bench.seen[0] == ("study", "analysed")
    assert bench.served.backend.urgencies == [bench.jobs.get(bench.job_id).urgency]


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


def test_what_operators_do_is_in_the_audit_trail_refusals_too(bench: Bench) -> None:
    bench.operator.cancel(bench.job_id, "ada")
    with pytest.raises(IllegalTransition):
        bench.operator.resend(bench.job_id, "ada", ["moon"])
    with pytest.raises(LookupError):
        bench.operator.retry("nonsense", "ada")
    assert [(e["who"], e["what"], e["subject"], e["outcome"]) for e in bench.audit.entries()] == [
        ("ada", "retry", "nonsense", "refused"),
        ("ada", "resend", bench.job_id, "refused"),
        ("ada", "cancel", bench.job_id, "done"),
    ]


def test_a_severe_result_goes_before_others(bench: Bench) -> None:
    routine = bench.jobs.get(bench.job_id).priority
    bench.runner.analyse(bench.job_id, 1)
    assert bench.seen == [("study", "analysed")], "not severe"
    severe = replace(ANALYSED, analysis=SevereStub())  # type: ignore[arg-type]
    bench.analysis, bench.job_id = (lambda: severe), bench.receive_another_slice()
    bench.runner.analyse(bench.job_id, 1)
    assert bench.seen[-1] == ("priority", routine - 7200)


def test_a_refused_job_is_recorded_and_sent_nowhere(bench: Bench) -> None:
    bench.analysis = lambda: REFUSED
    assert bench.runner.analyse(bench.job_id, 1) == []
    assert bench.state is State.REFUSED
    (reason,) = (bench.overview.job(bench.job_id) or {})["reasons"]
    assert (reason["reason"], reason["detail"]) == ("TILT", "12 degrees.")


def test_every_step_may_run_again_after_a_kill(bench: Bench) -> None:
    for _ in range(2):
        assert bench.runner.analyse(bench.job_id, 1) == ["pacs"]
    for _ in range(2):
        assert bench.runner.deliver(bench.job_id, "pacs", 1) is None
    assert bench.runner.analyse(bench.job_id, 1) == []
    assert bench.state is State.DELIVERED
    assert bench.sent == ["lobes.seg.dcm", "s.dcm"], "nothing is sent twice"


def test_what_a_killed_run_kept_is_what_is_recorded_and_sent(bench: Bench) -> None:
    """The second run has other UIDs, as after an upgrade, but the first bytes count."""
    bench.runner._save(bench.jobs.get(bench.job_id), ANALYSED, ())
    others = tuple(replace(e, sop_instance_uid=f"{e.sop_instance_uid}.7", content=b"new") for e in ANALYSED.evidence)
    capture = Evidence("capture", "capture.dcm", b"new", "1.2.840.3", "1.9.3")
    bench.analysis = lambda: replace(ANALYSED, evidence=(*others, capture))
    bench.runner.analyse(bench.job_id, 1)
    assert [o.sop_instance_uid for o in bench.jobs.objects(bench.job_id)] == ["1.9.1", "1.9.2"]
    with bench.spool.local([o.path for o in bench.jobs.objects(bench.job_id)]) as paths:
        assert [path.read_bytes() for path in paths] == [b"seg", b"sr"]


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


@pytest.mark.parametrize("then", ["another model", "a refusal"])
def test_a_job_is_labelled_with_the_models_of_what_a_killed_run_kept(bench: Bench, then: str) -> None:
    """Meanwhile the candidate became the active version: neither its name, score nor judgement belongs to the job."""

    class First(AnalysedStub):
        models = (ModelUse("lobes", "2", "b" * 64),)
        flags = (Flag.LOSSY,)

    class Second(SevereStub):
        models = (ModelUse("lobes", "3", "c" * 64),)

    job = bench.jobs.get(bench.job_id)
    bench.runner._save(job, replace(ANALYSED, analysis=First()), {"lobes"})  # type: ignore[arg-type]
    second = REFUSED if then == "a refusal" else replace(ANALYSED, analysis=Second())  # type: ignore[arg-type]
    bench.analysis = lambda: second
    assert bench.runner.analyse(bench.job_id, 1) == ["pacs"]
    (recorded,) = bench.overview.list_jobs()
    assert recorded["state"] == State.DELIVERING
    assert recorded["models"] == [{"name": "lobes", "version": "2", "sha256": "b" * 64, "candidate": True}]
    assert (recorded["severity_total"], recorded["flags"]) == (7, ["LOSSY"])
    assert ("lobes", "2") in bench.counted and ("lobes", "3") not in bench.counted
    assert bench.seen == [("study", "analysed")]


def test_what_a_version_kept_that_did_not_say_how_it_ended_is_saved_anew(bench: Bench) -> None:
    bench.spool.save_results(bench.job_id, {"s.dcm": b"old", "objects.json": b"[]"})
    bench.runner.analyse(bench.job_id, 1)
    with bench.spool.local([o.path for o in bench.jobs.objects(bench.job_id)]) as paths:
        assert [path.read_bytes() for path in paths] == [b"seg", b"sr"]


def test_a_refusal_is_kept_as_it_was_found(bench: Bench) -> None:
    _, kept = bench.runner._save(bench.jobs.get(bench.job_id), REFUSED, ())
    assert kept.refusals == {"1.2": [Refusal(Reason.TILT, "12 degrees.")]}
    assert kept.facts == bench.runner._facts(bench.jobs.get(bench.job_id), REFUSED)


def test_a_database_that_is_busy_fails_no_study(bench: Bench) -> None:
    bench.analysis = raising(OperationalError("SELECT", {}, Exception("database is locked")))
    with pytest.raises(OperationalError):
        bench.runner.analyse(bench.job_id, 1)
    assert bench.state is State.RUNNING


def raising(error: Exception) -> Callable[[], Outcome]:
    def analysis() -> Outcome:
        raise error

    return analysis


@pytest.mark.parametrize("error", [Transient("the model server is away"), OSError(28, "No space left on device")])
def test_a_transient_failure_is_tried_again_and_fails_in_the_end(bench: Bench, error: Exception) -> None:
    bench.analysis = raising(error)
    assert bench.runner.analyse(bench.job_id, 1) == 60.0
    assert bench.state is State.QUEUED
    assert bench.runner.analyse(bench.job_id, 2) == 300.0
    bench.clock = NOW + timedelta(hours=25)
    assert bench.runner.analyse(bench.job_id, 3) == []
    assert bench.state is State.FAILED
    assert str(error) in bench.error


def test_an_internal_error_fails_this_job_only_and_its_message_stays_out_of_records_and_logs(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.analysis = raising(ValueError("PatientName is Doe^Jane"))
    assert bench.runner.analyse(bench.job_id, 1) == []
    assert bench.state is State.FAILED
    assert "ValueError" in bench.error
    assert "Doe" not in bench.error + caplog.text
    assert "test_runner.py" in caplog.text, "where it happened is logged"


def test_a_permanent_failure_keeps_its_sentence(bench: Bench) -> None:
    bench.analysis = raising(Permanent("Model lobes failed."))
    assert bench.runner.analyse(bench.job_id, 1) == []
    assert bench.error == "Model lobes failed."


def test_a_retry_sends_only_what_is_missing(bench: Bench) -> None:
    bench.runner.analyse(bench.job_id, 1)
    bench.verdicts = lambda path: Verdict.STORED if path.name == "s.dcm" else Verdict.TRANSIENT
    assert bench.runner.deliver(bench.job_id, "pacs", 1) == 5.0
    assert bench.runner.deliver(bench.job_id, "pacs", 2) == 60.0
    bench.verdicts = lambda path: Verdict.STORED
    assert bench.runner.deliver(bench.job_id, "pacs", 3) is None
    assert bench.state is State.DELIVERED
    assert bench.sent == ["lobes.seg.dcm", "s.dcm", "lobes.seg.dcm", "lobes.seg.dcm"]


def test_a_final_refusal_of_one_object_does_not_stop_the_others(bench: Bench) -> None:
    bench.runner.analyse(bench.job_id, 1)
    bench.verdicts = lambda path: Verdict.PERMANENT if path.name == "s.dcm" else Verdict.STORED
    assert bench.runner.deliver(bench.job_id, "pacs", 1) is None
    assert bench.state is State.UNDELIVERED
    states = {d["sop_instance_uid"]: d["state"] for d in (bench.overview.job(bench.job_id) or {})["deliveries"]}
    assert states == {"1.9.1": "stored", "1.9.2": "refused"}


def test_delivery_is_given_up_when_it_is_too_old(bench: Bench) -> None:
    bench.runner.analyse(bench.job_id, 1)
    bench.verdicts = lambda path: Verdict.TRANSIENT
    assert bench.runner.deliver(bench.job_id, "pacs", 1) == 5.0
    bench.clock = NOW + timedelta(hours=2)
    assert bench.runner.deliver(bench.job_id, "pacs", 2) is None
    assert bench.state is State.UNDELIVERED
    assert "given up: because" in str(bench.overview.job(bench.job_id))


def test_a_job_whose_processes_died_again_and_again_is_abandoned_once(bench: Bench) -> None:
    bench.jobs.start(bench.job_id, NOW)
    for _ in range(2):
        bench.runner.abandon(bench.job_id)
    assert bench.state is State.FAILED
    assert "died repeatedly" in bench.error
    assert bench.seen == [("study", "failed")]


def test_a_destination_that_is_no_longer_configured_ends_the_delivery_by_name(bench: Bench) -> None:
    bench.runner.analyse(bench.job_id, 1)
    bench.destinations.clear()
    assert bench.runner.deliver(bench.job_id, "pacs", 1) is None
    assert bench.state is State.UNDELIVERED
    assert "no longer configured" in str(bench.overview.job(bench.job_id))


def test_an_operator_may_retry_what_failed_and_only_that(bench: Bench) -> None:
    bench.analysis = raising(Permanent("Model lobes failed."))
    bench.runner.analyse(bench.job_id, 1)
    assert bench.operator.retry(bench.job_id, "Kim").state is State.QUEUED
    bench.analysis = lambda: ANALYSED
    bench.runner.analyse(bench.job_id, 2)
    bench.verdicts = lambda path: Verdict.PERMANENT
    bench.runner.deliver(bench.job_id, "pacs", 1)
    assert bench.operator.retry(bench.job_id, "Kim").state is State.DELIVERING
    assert [(d.job_id, d.destination, d.at_once) for d in bench.deliveries.to_deliver()] == [
        (bench.job_id, "pacs", True)
    ]
    bench.verdicts = lambda path: Verdict.STORED
    bench.runner.deliver(bench.job_id, "pacs", 2)
    assert bench.state is State.DELIVERED
    with pytest.raises(IllegalTransition, match="only failed and undelivered"):
        bench.operator.retry(bench.job_id, "Kim")


def test_a_superseded_job_sends_nothing_more(bench: Bench) -> None:
    bench.runner.analyse(bench.job_id, 1)
    assert bench.state is State.DELIVERING
    newer = bench.receive_another_slice()
    assert bench.state is State.SUPERSEDED
    assert bench.runner.deliver(bench.job_id, "pacs", 1) is None
    assert bench.sent == []
    assert bench.runner.analyse(newer, 1) == ["pacs"]
    with pytest.raises(IllegalTransition, match="superseded by a newer one"):
        bench.operator.retry(bench.job_id, "Kim")


def test_a_purged_study_that_comes_again_gives_the_same_objects_again(bench: Bench) -> None:
    bench.analysis = lambda: replace(ANALYSED, evidence=tuple(replace(e, series_uid="1.9") for e in ANALYSED.evidence))
    bench.deliver(bench.job_id)
    bench.purge()
    again = bench.receive("1", b"a")
    bench.deliver(again)
    assert bench.predecessors == [[], []], "it replaces nothing: it is the same"
    first, second = (bench.jobs.objects(job_id) for job_id in (bench.job_id, again))
    assert [o.sop_instance_uid for o in first] == [o.sop_instance_uid for o in second]
    assert bench.jobs.get(again).state is State.DELIVERED


def test_where_the_models_have_changed_it_replaces_what_was_there(bench: Bench) -> None:
    old = tuple(replace(e, series_uid="1.9") for e in ANALYSED.evidence)
    new = tuple(replace(e, sop_instance_uid=f"{e.sop_instance_uid}.2") for e in old)
    bench.analysis = lambda: replace(ANALYSED, evidence=old)
    bench.deliver(bench.job_id)
    bench.purge()
    again = bench.receive("1", b"a")
    bench.analysis = lambda: replace(ANALYSED, evidence=new)
    bench.deliver(again)
    assert bench.predecessors == [[], [], ["1.9.1", "1.9.2"]]


def test_what_came_after_a_purge_is_refused_without_a_notice(bench: Bench) -> None:
    notice = replace(REFUSED, evidence=(Evidence("study", "notice.dcm", b"sr", "1.2.840.2", "1.9.3"),))
    bench.deliver(bench.job_id)
    bench.purge()
    late = bench.receive("3", b"late")
    bench.analysis, bench.sent = (lambda: notice), []
    assert bench.runner.analyse(late, 1) == []
    assert (bench.jobs.get(late).state, bench.jobs.objects(late)) == (State.REFUSED, [])
    bench.analysis = lambda: ANALYSED
    whole = bench.receive("1", b"a")
    bench.deliver(whole)
    bench.analysis = lambda: notice
    later = bench.receive("4", b"later")
    assert bench.runner.analyse(later, 1) == ["pacs"], "the study is whole again, and this is about all of it"


def test_what_was_purged_cannot_be_done_again(bench: Bench) -> None:
    bench.deliver(bench.job_id)
    bench.purge()
    for action in (bench.operator.retry, bench.operator.resend, bench.operator.reanalyse):
        with pytest.raises(IllegalTransition, match=f"the images and results of job {bench.job_id} were purged on 20"):
            action(bench.job_id, "Kim")
    assert bench.state is State.DELIVERED


def test_scores_and_reasons_are_counted_by_kind_of_scanner(bench: Bench) -> None:
    header = Dataset()
    header.Manufacturer, header.ManufacturerModelName, header.StationName = "Siemens", "SOMATOM Force", "CT-ROOM-3"
    headers = {"1.2": header}
    bench.analysis = lambda: replace(ANALYSED, headers=headers)
    bench.runner.analyse(bench.job_id, 1)
    twice = (Refusal(Reason.TILT, "12 degrees."), Refusal(Reason.NOT_AXIAL, "coronal"))
    bench.analysis = lambda: replace(REFUSED, headers=headers, refusals={"1.2": twice, "1.3": twice[:1]})
    bench.runner.analyse(bench.receive_another_slice(), 1)
    assert bench.counted == [("SIEMENS SOMATOM FORCE", 7, 3.0), ("SIEMENS SOMATOM FORCE", "NOT_AXIAL", "TILT")]
