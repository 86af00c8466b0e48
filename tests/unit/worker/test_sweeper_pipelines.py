"""The sweeper asks which pipelines take a complete study; one that cannot be looked at keeps no other waiting."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from helpers import arrivals
from helpers.databases import open_database

from service.domain.completion import SenderRules
from service.domain.priority import Urgency
from service.store.inbox import Inbox
from service.store.overview import Overview
from service.store.records import Records
from service.store.spool import Spool
from service.store.study_tables import StudyTables
from service.worker.sweeper import Sweeper


class Engine:
    """A durable engine that does nothing."""

    def ensure_study(self, job_id: str, priority: int, at_once: bool = False) -> None: ...

    def ensure_delivery(self, job_id: str, destination: str, priority: int, at_once: bool) -> None: ...

    def ensure_shadow(self, job_id: str) -> None: ...


class Ward:
    """A sweeper and its clock; takers: pipelines by study, or the error of looking at it."""

    def __init__(self, folder: Path) -> None:
        self._database = open_database(folder / "records.db")
        self.takers: dict[str, Sequence[str] | OSError] = {}
        self._passed_s = 0.0
        self._inbox = Inbox(Spool(folder), Records(self._database))
        rules = SenderRules(lambda ae: 1.0, lambda ae: Urgency.ROUTINE, self._takers, ("a", "b"))
        tables = StudyTables.on(self._database)
        self._sweeper = Sweeper(tables, Engine(), rules, lambda: True, self._now, lambda: self._passed_s)

    def _now(self) -> datetime:
        return arrivals.at(5) + timedelta(seconds=self._passed_s)

    def _takers(self, study_uid: str) -> Sequence[str]:
        found = self.takers[study_uid]
        if isinstance(found, OSError):
            raise found
        return found

    def receive(self, study_uid: str, takers: Sequence[str] | OSError) -> None:
        self.takers[study_uid] = takers
        self._inbox.take(arrivals.arrival(study_uid=study_uid, content=study_uid.encode()))

    def sweep(self, after_s: float = 0.0) -> None:
        self._passed_s += after_s
        self._sweeper.tick()
        self._passed_s += 2.0
        self._sweeper.tick()

    def jobs(self) -> set[tuple[str, str]]:
        """Study and pipeline of each job."""
        return {(job["study_uid"], job["pipeline"]) for job in Overview(self._database).list_jobs()}


def test_every_pipeline_that_takes_a_study_gets_a_job(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    ward.receive("both", ["a", "b"])
    ward.receive("one", ["b"])
    ward.receive("none", [])
    ward.sweep()
    assert ward.jobs() == {("both", "a"), ("both", "b"), ("one", "b"), ("none", "")}
    ward.sweep()
    assert len(ward.jobs()) == 4


def test_a_study_whose_images_cannot_be_read_waits_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ward = Ward(tmp_path)
    ward.receive("away", OSError(5, "Input/output error"))
    ward.receive("here", ["a"])
    ward.sweep()
    ward.sweep(after_s=200)
    assert ward.jobs() == {("here", "a")} and "cannot be read" not in caplog.text
    ward.takers["away"] = ["a"]
    ward.sweep()
    assert ward.jobs() == {("here", "a"), ("away", "a")}


def test_a_study_whose_images_stay_unreadable_goes_to_every_pipeline(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Which refuse it by name: a study that waits for ever is one that nobody hears of."""
    ward = Ward(tmp_path)
    ward.receive("away", OSError(5, "Input/output error"))
    ward.sweep()
    ward.sweep(after_s=300)
    assert ward.jobs() == {("away", "a"), ("away", "b")}
    assert "cannot be read for 300 s (OSError): every pipeline gets a job" in caplog.text
