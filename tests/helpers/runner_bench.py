"""A runner with one job, on real tables and files; only the analysis and the network are stand-ins."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from helpers import arrivals, tiny_models
from helpers.databases import open_database
from helpers.headlines import severity
from helpers.reports import PEER, observed_by
from service.analysis.analyst import Outcome, Run
from service.analysis.open_study import Studies
from service.analysis.watchdog import Watchdog
from service.domain.analysis import ModelUse
from service.domain.flags import Flag
from service.domain.job_state import State
from service.domain.model_spec import ModelSpec
from service.domain.priority import Urgency
from service.domain.retry import RetryPolicy
from service.errors import Reason, Refusal
from service.evidence.context import Evidence
from service.inference.composite_backend import CompositeBackend
from service.network.send import StoreOutcome, Verdict
from service.pipelines.covid_severity.pipeline import CovidSeverity
from service.rollout.assignment import Assigned
from service.rollout.worker_analysis import WorkerAnalysis
from service.store.audit import Audit
from service.store.deliveries import Deliveries
from service.store.inbox import Inbox
from service.store.jobs import Jobs
from service.store.overview import Overview
from service.store.records import Records
from service.store.retention import Retention
from service.store.reviews import Reviews
from service.store.shadows import Shadows
from service.store.spool import Spool
from service.store.study_tables import StudyTables
from service.store.worklist import Worklist
from service.worker.delivery import Courier
from service.worker.delivery_plans import DeliveryPlans
from service.worker.destination import Target
from service.worker.job_actions import JobActions
from service.worker.runner import Runner

NOW = arrivals.at(300)
REFUSED = Outcome(
    None, None, (), {"1.2": (Refusal(Reason.TILT, "12 degrees."),)}, {"check": 1.0}, {"status": "refused"}
)


class AnalysedStub:
    """As much of an Analysis as the runner looks at."""

    flags: tuple[Flag, ...] = ()
    models: tuple[ModelUse, ...] = ()
    headline = severity(7)
    urgent = False
    rank: float | None = None
    drift: Mapping[str, float] = {"severity_score": 7.0, "opacity_percent": 3.0}


class SevereStub(AnalysedStub):
    headline = severity(15)
    urgent = True
    drift: Mapping[str, float] = {"severity_score": 15.0, "opacity_percent": 3.0}


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

    def cancel(self) -> None:
        """Nothing waits here."""

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


@dataclass
class Unwatched:
    """A watchdog that never ends anything, and the run it would watch."""

    backend: Any = None

    @contextmanager
    def over(self, job_id: str, backend: Any, *_: Any) -> Iterator["Unwatched"]:
        yield Unwatched(backend)

    def progress(self, tell: Any) -> Any:
        return tell


class Bench:
    """A runner with one job; `analysis` and `verdicts` decide what happens."""

    def __init__(self, folder: Path, watchdog: Watchdog | None = None) -> None:
        engine = open_database(folder / "records.db")
        self.clock = NOW
        self.pipeline = CovidSeverity()
        self.analysis: Callable[[], Outcome] = lambda: ANALYSED
        self.verdicts: Callable[[Path], Verdict] = lambda path: Verdict.STORED
        self.sent: list[str] = []
        self.with_candidates = False
        self.runs: list[Run] = []
        self.seen: list[tuple[Any, ...]] = []
        self.counted: list[tuple[Any, ...]] = []
        self.jobs, self.overview, self.shadows = Jobs(engine), Overview(engine), Shadows(engine)
        self.worklist = Worklist(engine)
        records, self.spool = Records(engine), Spool(folder)
        self._records, self._inbox, self._retention = records, Inbox(self.spool, records), Retention(engine)
        self._inbox.take(arrivals.arrival())
        (self.job_id,) = arrivals.create_due_jobs(records, NOW, lambda _: 1.0)
        policy = RetryPolicy((5.0, 60.0), timedelta(hours=1))
        self.destinations = {"pacs": Target(PEER, self.send, policy, frozenset(("lobes", "study")), "binary")}
        self.deliveries = Deliveries(engine)
        self.courier = Courier(
            self.destinations, self.spool, self.jobs, self.deliveries, observed_by(self), lambda: self.clock
        )
        plans = DeliveryPlans(self.destinations, self.jobs, self.deliveries, lambda: self.clock)
        self.audit = Audit(engine, lambda: self.clock)
        self.configured = [arrivals.PIPELINE]
        self.operator = JobActions(
            StudyTables.on(engine), Reviews(engine), plans, self.configured, self.audit, lambda: self.clock
        )
        self.served = Served()
        self.runner = Runner(
            WorkerAnalysis(
                {arrivals.PIPELINE: self},  # type: ignore[dict-item]
                self.served,  # type: ignore[arg-type]
                Unwatched() if watchdog is None else watchdog,  # type: ignore[arg-type]
                Studies(self.spool, records, lambda study, series: {}),
            ),
            StudyTables.on(engine),
            self.spool,
            plans,
            observed_by(self),
            lambda *without: self.seen.append(("without", *without)),
            lambda: self.clock,
        )

    def receive_another_slice(self) -> str:
        """The job of the study with one more slice."""
        return self.receive("2", b"another")

    def receive(self, instance: str, content: bytes) -> str:
        """The job of the study with this slice too."""
        self._inbox.take(arrivals.arrival(instance, content=content))
        (job_id,) = arrivals.create_due_jobs(self._records, NOW, lambda _: 1.0)
        return job_id

    def deliver(self, job_id: str) -> None:
        self.runner.analyse(job_id, 1)
        self.courier.deliver(job_id, "pacs", 1)

    @property
    def replaced(self) -> list[list[str]]:
        """SOP Instance UIDs that each analysis was told to replace."""
        return [[p.sop_instance_uid for p in run.replaces.objects] if run.replaces else [] for run in self.runs]

    def purge(self) -> None:
        at = datetime.now(UTC) + timedelta(days=1)
        assert self._retention.give_up("S", at, at) is not None
        while self._retention.remove("S", self.spool):
            pass

    def on(self, backend: Any) -> "Bench":
        self.with_candidates = isinstance(backend, CompositeBackend)
        assert self.with_candidates or backend is self.served.backend
        return self

    def analyse(self, *study: Any) -> Outcome:
        self.runs.append(study[-1])
        return self.analysis()

    def send(self, paths: Sequence[Path]) -> list[StoreOutcome]:
        self.sent += [p.name for p in paths]
        return [StoreOutcome(p, "", self.verdicts(p), None, "because") for p in paths]

    def study(self, outcome: str, pipeline: str, timings_s: Mapping[str, float]) -> None:
        assert pipeline == arrivals.PIPELINE
        self.seen.append(("study", outcome))

    def analysed_by(self, model: str, version: str) -> None:
        self.counted.append((model, version))

    def measured(self, pipeline: str, measure: str, scanner: str, value: float) -> None:
        self.counted.append((pipeline, measure, scanner, value))

    def refused(self, pipeline: str, scanner: str, reasons: Iterable[str]) -> None:
        assert pipeline == arrivals.PIPELINE
        self.counted.append((scanner, *reasons))

    def compared(self, pipeline: str, outcome: str) -> None:
        assert pipeline == arrivals.PIPELINE
        self.counted.append(("compared", outcome))

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


def raising(error: Exception) -> Callable[[], Outcome]:
    def analysis() -> Outcome:
        raise error

    return analysis
