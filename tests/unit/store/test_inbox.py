"""The file first, then the row; and what a start after a power cut makes of the difference."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from helpers import make_ct
from helpers.arrivals import START, arrival, at, create_due_jobs
from helpers.databases import open_database
from pydicom.uid import EncapsulatedPDFStorage

from service.domain.arrival import Arrival, identify
from service.store.engine import sqlite_engine
from service.store.inbox import Inbox
from service.store.intake import Recorded
from service.store.records import Records
from service.store.spool import Spool
from service.store.tables import instances, metadata, series, studies

UPGRADE = """
import sys
from pathlib import Path
from service.store.engine import database_engine
from service.store.migrations import upgrade
upgrade(database_engine(sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])))
"""


@pytest.fixture
def inbox(records: Records, tmp_path: Path) -> Inbox:
    return Inbox(Spool(tmp_path), records)


def slices(count: int) -> list[Arrival]:
    arrivals = []
    for dataset in make_ct.make(slices=count).datasets:
        stream = BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        content = stream.getvalue()
        arrivals.append(Arrival(identify(content), "CT1", "THORACLE", "127.0.0.1", START, content))
    return arrivals


def test_a_row_says_where_the_whole_file_is(inbox: Inbox, records: Records, tmp_path: Path) -> None:
    [one] = slices(1)
    inbox.take(one)
    [path] = records.paths()
    assert (tmp_path / path).read_bytes() == one.content


def test_nothing_is_recorded_when_the_disk_fails(
    inbox: Inbox, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("service.store.spool.os.fsync", broken)
    with pytest.raises(OSError, match="No space left"):
        inbox.take(slices(1)[0])
    assert records.paths() == set()


def test_a_database_that_cannot_grow_is_a_full_disk(tmp_path: Path) -> None:
    open_database(tmp_path / "records.db")
    full = sqlite_engine(tmp_path / "records.db")
    sa.event.listen(full, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count=1"))
    [one] = slices(1)
    large = replace(one, identity=replace(one.identity, modality="CT" * 500_000))
    with pytest.raises(OSError, match="the database fails: database or disk is full"):
        Inbox(Spool(tmp_path), Records(full)).take(large)
    Inbox(Spool(tmp_path), Records(full)).take(one)


def test_files_without_a_row_are_recorded_at_the_start(inbox: Inbox, records: Records, engine: sa.Engine) -> None:
    """As after a power cut, which may take the last rows but no acknowledged file."""
    arrivals = slices(3)
    for one in arrivals:
        inbox.take(one)
    with engine.begin() as connection:
        lost = instances.c.sop_instance_uid != arrivals[0].identity.sop_instance_uid
        connection.execute(sa.delete(instances).where(lost))
    assert inbox.reconcile(at(10)) == 2
    [found] = records.series_of(arrivals[0].identity.study_uid)
    assert (len(found.paths), found.calling_ae) == (3, "CT1")
    assert inbox.reconcile(at(20)) == 0


def test_a_whole_database_can_be_made_again_from_the_spool(inbox: Inbox, tmp_path: Path) -> None:
    arrivals = slices(3)
    for one in arrivals:
        inbox.take(one)
    fresh = open_database(tmp_path / "fresh.db")
    records = Records(fresh)
    later = datetime.now(UTC) + timedelta(hours=1)
    assert Inbox(Spool(tmp_path), records).reconcile(later) == 3
    assert len(records.series_of(arrivals[0].identity.study_uid)[0].paths) == 3
    assert create_due_jobs(records, later, lambda _: 1.0) == [], (
        "no job of a study of which only the first are recorded"
    )
    assert len(create_due_jobs(records, later + timedelta(seconds=1), lambda _: 1.0)) == 1


@pytest.mark.parametrize("damage", [b"", b"\0" * 8192, b"no database at all " * 1000])
def test_a_damaged_database_keeps_nothing(tmp_path: Path, damage: bytes) -> None:
    engine = open_database(tmp_path / "records.db")
    inbox = Inbox(Spool(tmp_path), Records(engine))
    [one] = slices(1)
    inbox.take(one)
    engine.dispose()
    (tmp_path / "records.db").write_bytes(damage)
    with pytest.raises(OSError, match="the database fails"):
        inbox.take(one)


def test_a_damaged_file_was_never_acknowledged_and_goes(
    inbox: Inbox, records: Records, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    [one] = slices(1)
    inbox.take(one)
    [path] = records.paths()
    damaged = (tmp_path / path).with_name("0123-0123456789abcdef.dcm")
    damaged.write_bytes(one.content[:1000])
    assert inbox.reconcile(at(10)) == 0
    assert not damaged.exists()
    assert "damaged" in caplog.text


def test_a_file_that_a_starting_receiver_finds_before_its_row_still_gets_its_sender(
    inbox: Inbox, records: Records, tmp_path: Path, engine: sa.Engine
) -> None:
    """Another receiver has saved it, and records it a moment later."""
    [one] = slices(1)
    saving = Spool(tmp_path)
    digest = sha256(one.content).hexdigest()
    path = saving.save(one.identity, one.content, digest)
    assert inbox.reconcile(at(1)) == 1
    assert records.series_of(one.identity.study_uid)[0].calling_ae == ""
    assert records.record(one, path, digest, saving.is_there) is Recorded.DUPLICATE
    with engine.begin() as connection:
        row = connection.execute(sa.select(series)).one()
        of_study = connection.scalar(sa.select(studies.c.calling_ae))
    assert (row.calling_ae, row.called_ae, row.peer_address) == ("CT1", "THORACLE", "127.0.0.1")
    assert of_study == "CT1"


def test_the_sender_of_found_reports_becomes_known_too(inbox: Inbox, records: Records, engine: sa.Engine) -> None:
    """They do not restart the quiet period, which also notes the sender."""
    found = arrival(ae="", sop_class_uid=str(EncapsulatedPDFStorage))
    records.record(found, "p", "0" * 64, lambda *_: True, at(1))
    records.record(replace(found, calling_ae="CT1"), "p", "0" * 64, lambda *_: True)
    with engine.begin() as connection:
        assert connection.scalar(sa.select(studies.c.calling_ae)) == "CT1"


def test_a_damaged_file_that_is_sent_again_meanwhile_stays(
    inbox: Inbox, records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another receiver rewrites and acknowledges it between the look at it and its removal."""
    [one] = slices(1)
    spool = Spool(tmp_path)
    path = spool.save(one.identity, one.content, sha256(one.content).hexdigest())
    (tmp_path / path).write_bytes(one.content[:-50])
    read = spool.read

    def then_sent_again(relative: str) -> bytes | None:
        found = read(relative)
        monkeypatch.setattr(spool, "read", read)
        inbox.take(one)
        return found

    monkeypatch.setattr(spool, "read", then_sent_again)
    assert Inbox(spool, records).reconcile(at(1)) == 0
    assert records.paths() == {path}
    assert (tmp_path / path).read_bytes() == one.content


def test_migrations_make_exactly_the_tables_we_use(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "schema_version"})
        assert compare_metadata(context, metadata) == []


@pytest.mark.slow
def test_several_processes_may_upgrade_at_once(database: str | Path) -> None:
    command = [sys.executable, "-c", UPGRADE, str(database)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
