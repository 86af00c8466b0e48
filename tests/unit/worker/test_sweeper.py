import time
from pathlib import Path

import pytest
from helpers import arrivals
from helpers.arrivals import PIPELINE
from helpers.databases import open_database
from helpers.dicom_peers import wait_until
from sqlalchemy.exc import OperationalError

from service.domain.completion import SenderRules
from service.domain.job import Result
from service.domain.job_state import State
from service.domain.priority import Urgency
from service.store.deliveries import Deliveries, Due
from service.store.engine import sqlite_engine
from service.store.inbox import Inbox
from service.store.jobs import Jobs
from service.store.records import Records
from service.store.shadows import Shadow, Shadows
from service.store.spool import Spool
from service.store.study_tables import StudyTables
from service.worker.sweeper import Sweeper

RULES = SenderRules(lambda ae: 10.0, lambda ae: Urgency.ROUTINE, lambda study_uid: [PIPELINE], [PIPELINE])


class Engine:
    def __init__(self) -> None:
        self.studies: list[str] = []
        self.deliveries: list[tuple[str, str]] = []
        self.at_once: list[bool] = []
        self.shadows: list[str] = []
        self.studies_at_once: list[bool] = []

    def ensure_study(self, job_id: str, priority: int, at_once: bool = False) -> None:
        assert priority > 0
        self.studies.append(job_id)
        self.studies_at_once.append(at_once)

    def ensure_delivery(self, job_id: str, destination: str, priority: int, at_once: bool) -> None:
        self.deliveries.append((job_id, destination))
        self.at_once.append(at_once)

    def ensure_shadow(self, job_id: str) -> None:
        self.shadows.append(job_id)


def test_a_complete_study_is_queued_once_and_checked_until_it_is_done(tmp_path: Path) -> None:
    database = open_database(tmp_path / "records.db")
    records, jobs, engine = Records(database), Jobs(database), Engine()
    now, passed_s = arrivals.at(5), 0.0
    sweeper = Sweeper(
        StudyTables.on(database),
        engine,
        RULES,
        lambda: True,
        lambda: now,
        lambda: passed_s,
    )
    Inbox(Spool(tmp_path), records).take(arrivals.arrival())
    sweeper.tick()
    assert engine.studies == [], "the quiet period is not over"
    now = arrivals.at(7205)
    sweeper.tick()
    assert engine.studies == [], "the clock was set forward: nothing else happened"
    passed_s = 5.0
    sweeper.tick()
    sweeper.tick()
    (job_id,) = engine.studies
    assert jobs.get(job_id).state is State.QUEUED
    sweeper.check()
    assert engine.studies == [job_id, job_id], "the engine is asked to be at every job that is not done"
    jobs.start(job_id, now)
    jobs.finish(job_id, Result(error="no"), now)
    sweeper.check()
    assert len(engine.studies) == 2, "a job that is done is left alone"
    assert engine.deliveries == []


def test_no_study_is_completed_while_nobody_could_receive_the_rest_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = open_database(tmp_path / "records.db")
    records, engine = Records(database), Engine()
    receiving, passed_s = True, 0.0
    sweeper = Sweeper(
        StudyTables.on(database),
        engine,
        RULES,
        lambda: receiving,
        lambda: arrivals.at(5 + passed_s),
        lambda: passed_s,
    )
    Inbox(Spool(tmp_path), records).take(arrivals.arrival())
    sweeper.tick()
    receiving = False
    for passed_s in (9.0, 3600.0):  # noqa: B007 (the sweeper reads it)
        sweeper.tick()
    receiving = True
    for passed_s in (3600.5, 3609.5):  # noqa: B007 (the sweeper reads it)
        sweeper.tick()
    assert engine.studies == []
    passed_s = 3610.0
    sweeper.tick()
    sweeper.tick()
    assert len(engine.studies) == 1, "quiet for the whole quiet period, with a receiver"
    assert caplog.text.count("no receiver is running: no study is completed meanwhile") == 1
    assert caplog.text.count("quiet periods begin anew") == 1


def test_a_clock_set_back_is_told_and_delays_no_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A delay ends at a time by the wall clock: set back by two hours, it would last two hours longer.

    It may have been set back while no worker was running; and the database may fail when it is noticed.
    """
    database = open_database(tmp_path / "records.db")

    def due(_: Deliveries) -> list[Due]:
        if fails:
            raise OperationalError("SELECT", {}, Exception())
        return [Due("job", "pacs", 1, at_once=False)]

    monkeypatch.setattr(Jobs, "to_analyse", lambda _: [("job", 1)])
    monkeypatch.setattr(Deliveries, "to_deliver", due)
    engine, now, fails = Engine(), arrivals.at(7200), False
    sweeper = Sweeper(
        StudyTables.on(database),
        engine,
        RULES,
        lambda: True,
        lambda: now,
        lambda: 0.0,
    )
    sweeper.tick()
    assert engine.at_once == engine.studies_at_once == [True], "the first look"
    sweeper.check()
    sweeper.tick()
    assert engine.at_once == engine.studies_at_once == [True, False]
    now, fails = arrivals.at(0), True
    with pytest.raises(OperationalError):
        sweeper.tick()
    fails = False
    sweeper.tick()
    sweeper.tick()
    assert engine.at_once == [True, False, True]
    assert "the clock was set back by 7200 s" in caplog.text


@pytest.mark.parametrize("ahead_s", [3600, 365 * 86_400])
def test_what_was_put_off_while_the_clock_was_ahead_waits_no_longer_once_it_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: int
) -> None:
    database = open_database(tmp_path / "records.db")
    monkeypatch.setattr(Jobs, "to_analyse", lambda _: [("job", 1)])
    monkeypatch.setattr(Deliveries, "to_deliver", lambda _: [Due("job", "pacs", 1, at_once=False)])
    engine, now = Engine(), arrivals.at(0)
    sweeper = Sweeper(StudyTables.on(database), engine, RULES, lambda: True, lambda: now, lambda: 0.0)
    sweeper.tick()
    now = arrivals.at(ahead_s)
    sweeper.tick()
    assert engine.studies_at_once == [True], "a clock set forward ends no delay late"
    now = arrivals.at(0)
    sweeper.tick()
    assert engine.at_once == engine.studies_at_once == [True, True]


@pytest.mark.slow
def test_a_database_that_fails_is_told_once_and_looked_at_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "records.db"
    fresh = open_database(path)
    fresh.dispose()
    good = path.read_bytes()
    path.write_bytes(b"not a database at all" * 1000)
    database = sqlite_engine(path)
    sweeper = Sweeper(
        StudyTables.on(database),
        Engine(),
        RULES,
        lambda: True,
        lambda: arrivals.at(0),
    )
    caplog.set_level("WARNING")
    sweeper.start()
    wait_until(lambda: caplog.records)
    time.sleep(2)
    assert sweeper.alive
    path.write_bytes(good)
    wait_until(lambda: "works again" in caplog.text)
    sweeper.stop()
    assert [r.message.split(";")[0] for r in caplog.records] == [
        "studies are not looked at: the database fails: file is not a database",
        "the database works again: studies are looked at",
    ]


def test_candidates_are_queued_until_they_have_analysed_the_job(tmp_path: Path) -> None:
    database = open_database(tmp_path / "records.db")
    records, jobs, engine, shadows = Records(database), Jobs(database), Engine(), Shadows(database)
    Inbox(Spool(tmp_path), records).take(arrivals.arrival())
    (job_id,) = arrivals.create_due_jobs(records, arrivals.at(60), lambda _: 1.0)
    jobs.start(job_id, arrivals.at(60))
    jobs.finish(job_id, Result(series_uid="S.1", shadows={"lobes": "2"}), arrivals.at(61))
    sweeper = Sweeper(
        StudyTables.on(database),
        engine,
        RULES,
        lambda: True,
        lambda: arrivals.at(62),
        lambda: 1.0,
    )
    sweeper.check()
    assert engine.shadows == [job_id]
    shadows.end(job_id, "lobes", "2", Shadow.COMPARED, arrivals.at(70))
    sweeper.check()
    assert engine.shadows == [job_id], "not once more"
