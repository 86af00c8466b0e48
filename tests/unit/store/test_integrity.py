"""Damage to a database file is found, and told from a file that is only out of reach."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers.arrivals import arrival, at, create_due_jobs, keep
from helpers.databases import open_database

from service.store.backlog import Backlog
from service.store.engine import sqlite_engine
from service.store.integrity import Unusable, why_unusable
from service.store.jobs import Jobs
from service.store.records import Records
from service.store.spool import Spool


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with a few hundred pages."""
    path = tmp_path / "records.db"
    engine = open_database(path)
    engine.dispose()
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = [(f"study {n}", "CT1", 0, 0, "routine", 1) for n in range(20_000)]
        columns = "study_uid, calling_ae, revision, job_revision, urgency, kept"
        connection.executemany(f"INSERT INTO studies ({columns}) VALUES (?, ?, ?, ?, ?, ?)", rows)
    return path


def test_a_whole_file_and_none_are_fine(path: Path) -> None:
    assert why_unusable(path) is None
    assert why_unusable(path.with_name("other.db")) is None
    assert not path.with_name("other.db").exists()


def test_overwritten_pages_are_found(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = b"\xa5" * 4096
    path.write_bytes(content)
    assert f"{path} is damaged" in str(why_unusable(path))


def test_a_file_cut_off_is_found(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 100 * 4096])
    assert f"{path} is damaged" in str(why_unusable(path))


def test_what_is_no_database_is_found(path: Path) -> None:
    path.write_bytes(b"patient list\n" * 1000)
    assert why_unusable(path) == Unusable(f"{path} is damaged: file is not a database", damaged=True)


def test_what_cannot_be_opened_is_not_called_damaged(tmp_path: Path) -> None:
    why = f"{tmp_path} cannot be opened: unable to open database file"
    assert why_unusable(tmp_path) == Unusable(why, damaged=False)


def test_questions_about_a_damaged_database_are_os_errors(path: Path) -> None:
    path.write_bytes(b"patient list\n" * 1000)
    backlog = Backlog(sqlite_engine(path))
    for ask in (backlog.waiting, lambda: backlog.holds("1.2")):
        with pytest.raises(OSError, match="the database fails: file is not a database"):
            ask()


def test_the_backlog_is_what_comes_and_what_is_not_begun(
    engine: sa.Engine, records: Records, jobs: Jobs, tmp_path: Path
) -> None:
    backlog = Backlog(engine)
    assert (backlog.waiting(), backlog.holds("S")) == ({}, False)
    keep(Spool(tmp_path), records, arrival())
    assert (backlog.waiting(), backlog.holds("S")) == ({"CT1": 1}, True), "it will get a job"
    [job_id] = create_due_jobs(records, at(60), lambda _: 60.0)
    assert backlog.waiting() == {"CT1": 1}
    jobs.start(job_id, at(61))
    assert backlog.waiting() == {}
