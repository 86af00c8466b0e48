from pathlib import Path

import arrivals

from service.domain.job import Event, Result, State
from service.domain.priority import Urgency
from service.store.deliveries import Deliveries
from service.store.engine import sqlite_engine
from service.store.inbox import Inbox
from service.store.jobs import Jobs
from service.store.migrations import upgrade
from service.store.records import Records
from service.store.spool import Spool
from service.worker import Sweeper


class Engine:
    def __init__(self) -> None:
        self.studies: list[str] = []
        self.deliveries: list[tuple[str, str]] = []

    def ensure_study(self, job_id: str, priority: int) -> None:
        assert priority > 0
        self.studies.append(job_id)

    def ensure_delivery(self, job_id: str, destination: str, priority: int, at_once: bool) -> None:
        self.deliveries.append((job_id, destination))


def test_a_complete_study_is_queued_once_and_checked_until_it_is_done(tmp_path: Path) -> None:
    database = sqlite_engine(tmp_path / "records.db")
    upgrade(database)
    records, jobs, engine = Records(database), Jobs(database), Engine()
    now = arrivals.at(5)
    sweeper = Sweeper(
        records, jobs, Deliveries(database), engine, lambda ae: 10.0, lambda ae: Urgency.ROUTINE, lambda: now
    )
    Inbox(Spool(tmp_path), records).take(arrivals.arrival())
    sweeper.tick()
    assert engine.studies == [], "the quiet period is not over"
    now = arrivals.at(11)
    sweeper.tick()
    sweeper.tick()
    (job_id,) = engine.studies
    assert jobs.get(job_id).state is State.QUEUED
    sweeper.check()
    assert engine.studies == [job_id, job_id], "the engine is asked to be at every job that is not done"
    jobs.start(job_id, now)
    jobs.finish(job_id, Event.FAIL, Result(error="no"), now)
    sweeper.check()
    assert len(engine.studies) == 2, "a job that is done is left alone"
    assert engine.deliveries == []
