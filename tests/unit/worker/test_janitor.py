"""What a worker purges, and what it leaves for later."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from helpers import arrivals
from helpers.databases import open_database
from helpers.dicom_peers import wait_until
from helpers.encryption import encryption
from helpers.reports import observed_by

from service.domain.job import Result
from service.errors import Reason, Refusal
from service.store.audit import DONE, Audit
from service.store.audit_heads import AuditHeads
from service.store.jobs import Jobs
from service.store.planning import NOWHERE
from service.store.records import Records
from service.store.retention import Retention
from service.store.spool import Spool
from service.store.tables import file_keys, studies
from service.worker import janitor
from service.worker.janitor import Janitor, Kept, Trail

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
REFUSED = Result(refusals={"S.1": (Refusal(Reason.TILT, "12 degrees."),)})


KEY = Ed25519PrivateKey.generate()


class House:
    """Refused studies, and a worker that purges after a week."""

    def __init__(
        self,
        folder: Path,
        keep: timedelta | None = 7 * DAY,
        history: timedelta | None = 30 * DAY,
        audit: timedelta | None = None,
    ) -> None:
        self.engine = open_database(folder / "records.db")
        self.records, self.jobs, self.spool = Records(self.engine), Jobs(self.engine), Spool(folder)
        self.clock = NOW
        self.at_work: set[str] = set()
        self.bytes: list[int] = []
        kept = Kept(keep, history, audit)
        trail = Trail(
            Audit(self.engine, lambda: self.clock),
            AuditHeads(self.engine, KEY, folder / "audit.head", lambda: self.clock),
        )
        self.janitor = Janitor(
            Retention(self.engine), trail, self.spool, self, observed_by(self), kept, lambda: self.clock
        )

    def discard(self, job_id: str) -> bool:
        return job_id not in self.at_work

    def purged(self, size_bytes: int) -> None:
        self.bytes.append(size_bytes)

    def refused(self, study_uid: str, at: datetime = NOW) -> str:
        arrivals.keep(self.spool, self.records, arrivals.arrival(study_uid=study_uid, content=b"12345"))
        (job_id,) = arrivals.create_due_jobs(self.records, at, lambda _: 0.0)
        self.jobs.start(job_id, at)
        self.jobs.finish(job_id, REFUSED, at, NOWHERE)
        return job_id

    def after(self, days: float) -> int:
        """How many files are left when the janitor looks so many days after NOW."""
        self.clock = NOW + days * DAY
        self.janitor.tick()
        return len(list(self.spool.received()))

    @property
    def studies(self) -> int:
        with self.engine.begin() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(studies)) or 0)


def test_files_go_after_their_time_and_rows_after_theirs(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.refused("S")
    assert house.after(6.9) == 1
    assert house.after(7.1) == 0
    assert (house.studies, house.bytes) == (1, [5])
    house.after(37.05)
    assert house.studies == 1
    house.after(37.2)
    assert (house.studies, house.bytes) == (0, [5])


def test_forgotten_keys_do_not_stay_in_the_log_of_the_database(tmp_path: Path) -> None:
    """SQLite overwrites that file only from its beginning, when it has grown: a quiet hospital's for weeks."""
    house = House(tmp_path)
    house.spool._encryption = encryption(house.engine)
    house.refused("S")
    with house.engine.begin() as connection:
        key = connection.scalar(sa.select(file_keys.c.wrapped)).encode()
    with sqlite3.connect(tmp_path / "records.db", isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM studies").fetchone()
        assert house.after(8) == 0
        assert key in b"".join(file.read_bytes() for file in tmp_path.glob("records.db*")), "somebody reads"
        reader.execute("COMMIT")
    house.after(8)
    assert not [file for file in tmp_path.glob("records.db*") if key in file.read_bytes()]


@pytest.mark.parametrize("keep", [29 * DAY, None])
def test_history_counts_from_the_purge_however_long_files_are_kept_now(tmp_path: Path, keep: timedelta | None) -> None:
    house = House(tmp_path)
    house.refused("S")
    house.after(8)
    now = House(tmp_path, keep=keep)
    now.after(37)
    assert now.studies == 1
    now.after(39)
    assert now.studies == 0


@pytest.mark.parametrize(("kept", "left"), [(30 * DAY, ["purge", "retry"]), (None, ["retry", "cancel"])])
def test_the_audit_trail_has_a_time_of_its_own(tmp_path: Path, kept: timedelta | None, left: list[str]) -> None:
    house = House(tmp_path, audit=kept)
    for days, what in ((0, "cancel"), (20, "retry")):
        Audit(house.engine, lambda days=days: NOW + days * DAY).note("ada", what, "a job", DONE)  # type: ignore[misc]
    house.after(31)
    assert [entry["what"] for entry in Audit(house.engine, lambda: NOW).entries()] == left


def test_for_ever(tmp_path: Path) -> None:
    house = House(tmp_path, keep=None)
    house.refused("S")
    assert house.after(10_000) == 1
    again = House(tmp_path, history=None)
    assert again.after(10_000) == 0
    again.after(20_000)
    assert again.studies == 1


def test_nothing_goes_while_the_engine_is_at_any_job_of_the_study(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.at_work.add(house.refused("S"))
    assert house.after(8) == 1
    house.at_work.clear()
    assert house.after(8) == 0


def test_a_round_is_short_and_the_next_one_goes_on(tmp_path: Path) -> None:
    house = House(tmp_path)
    for number in range(23):
        house.refused(f"S{number}")
    house.at_work.add(house.refused("stuck"))
    assert house.after(8) == 4
    assert house.after(8) == 1
    assert len(house.bytes) == 23


def test_what_a_kill_left_is_removed_first(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.refused("S")
    assert Retention(house.engine).give_up("S", NOW + DAY, NOW + DAY) is not None
    assert house.after(2) == 0, "its seven days are not over, but it was given up"


def test_two_workers_purge_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house, other = House(tmp_path), House(tmp_path)
    house.refused("S")
    assert other.after(8) == 0
    monkeypatch.setattr(Retention, "due", lambda *_: ["S"])  # as if both had looked at the same time
    assert house.after(8) == 0
    assert (house.bytes, other.bytes) == ([], [5])


def test_a_study_that_cannot_be_removed_does_not_hold_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path)
    house.refused("A")
    (stuck,) = house.spool.received()
    house.refused("B")
    remove = Spool.remove

    def refuse(spool: Spool, *paths: str) -> None:
        if stuck in paths:
            raise PermissionError(13, "Permission denied", stuck)
        remove(spool, *paths)

    with monkeypatch.context() as broken:
        broken.setattr(Spool, "remove", refuse)
        assert house.after(8) == 1
        house.refused("C")
        assert house.after(8) == 1
        assert caplog.text.count(f"Permission denied: '{stuck}' (1 studies)") == 1
    assert house.after(8) == 0
    assert "can be removed again" in caplog.text


def test_what_killed_processes_left_half_written_goes(tmp_path: Path) -> None:
    house = House(tmp_path)
    (tmp_path / "results" / "job-1.part").mkdir(parents=True)
    house.janitor.clean()
    assert len(list((tmp_path / "results").iterdir())) == 1, "somebody may be writing it"
    house.clock = NOW + timedelta(hours=2)
    house.janitor.clean()
    assert list((tmp_path / "results").iterdir()) == []


def test_a_disk_that_fails_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk has the results, too: nothing of it can be removed, and then what was half-written cannot either."""
    monkeypatch.setattr(janitor, "_ROUND_S", 0.05)
    monkeypatch.setattr(janitor, "_PARTS_EVERY_S", 0.0)
    house = House(tmp_path)
    house.refused("S")
    house.clock = NOW + 8 * DAY
    rounds = []

    def fail(*_: object) -> None:
        rounds.append(1)
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as broken:
        broken.setattr(house.spool, "remove", fail)
        broken.setattr(house.spool, "remove_parts", fail)
        house.janitor.start()
        wait_until(lambda: len(rounds) > 10)
        assert caplog.text.count("nothing is purged now: [Errno 30] Read-only file system") == 1
        assert caplog.text.count("cannot be removed") == 1
        assert len(list(house.spool.received())) == 1
    wait_until(lambda: not list(house.spool.received()))
    assert house.janitor.alive
    house.janitor.stop()
    assert not house.janitor.alive


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_clock_that_jumps_by_an_hour_purges_nothing_early_and_nothing_late(tmp_path: Path, jump: timedelta) -> None:
    house = House(tmp_path)
    house.refused("before")
    assert house.after(6.9) == 1
    house.refused("while it is wrong", NOW + 6.9 * DAY + jump)
    assert house.after((6.9 * DAY + jump) / DAY) == 2 - (jump > timedelta(hours=2))
    assert house.after(7.5) == 1
    assert house.after(14.5) == 0


def test_what_comes_while_the_clock_is_a_year_ahead_is_kept_for_no_less_time(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.refused("S", NOW + 365 * DAY)
    assert house.after(365.1) == 1
    assert house.after(8) == 1, "set right again: by the clock nothing has happened to it yet"
    assert house.after(372.5) == 0
