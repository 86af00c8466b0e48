"""A purge forgets keys while files are saved; a kill or a power cut comes between any two steps: nothing is lost."""

import os
import subprocess
import sys
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers.arrivals import arrival, at
from helpers.databases import open_database
from helpers.encryption import encryption
from helpers.make_ct import make
from helpers.ward import KEEP, LATER, Ward

from service.domain.arrival import Arrival, identify
from service.store.file_keys import forget_keys
from service.store.inbox import Inbox
from service.store.intake import Recorded
from service.store.names import owner
from service.store.shadows import Shadow, Shadows, results_of
from service.store.spool import Spool
from service.store.tables import file_keys, instances

KILLED_WHILE_SAVING = """
import os, sys
from pathlib import Path
from helpers.arrivals import arrival
from helpers.encryption import encryption
from service.store.engine import sqlite_engine
from service.store.spool import Spool
{kill} = lambda *_: os._exit(9)
folder = Path(sys.argv[1])
spool = Spool(folder, encryption(sqlite_engine(folder / "records.db", "NORMAL")))
{call}
"""


@pytest.fixture
def ward(engine: sa.Engine, tmp_path: Path) -> Ward:
    return Ward(engine, Spool(tmp_path / "data", encryption(engine)))


def key_rows(ward: Ward) -> dict[str, bool]:
    """Whether the key is still there, by owner."""
    with ward.engine.begin() as connection:
        return {row.owner: row.wrapped is not None for row in connection.execute(sa.select(file_keys))}


def test_a_purge_forgets_the_keys_of_the_study_and_of_its_results_before_it_removes_files(ward: Ward) -> None:
    job_id = ward.delivered("1", "2")
    ward.receive("1", study_uid="T")
    assert list(key_rows(ward).values()) == [True] * 3
    ward.give_up()
    assert len(ward.files()) == 3, "all files are there yet"
    kept = {whose: key for whose, key in key_rows(ward).items() if key}
    assert len(kept) == 1 and f"results/{job_id}" not in kept
    ward.remove()
    assert ward.retention.forget("S", LATER + KEEP)
    assert len(key_rows(ward)) == 1, "nothing of it is left after its history"


def test_a_file_that_was_saved_with_a_key_that_a_purge_then_forgot_is_saved_again(ward: Ward) -> None:
    """Nothing of the purge's list names it: only its key tells that it would be lost."""
    ward.delivered("1")
    late = ward.slice("2")
    path = ward.save(late)
    ward.purge()
    assert ward.record(path, late) is Recorded.GONE
    assert path not in ward.records.paths()
    Inbox(ward.spool, ward.records).take(late)
    assert path in ward.records.paths()
    assert ward.contents(path) == late.content


def test_a_slow_sender_puts_no_file_with_a_forgotten_key_over_an_acknowledged_one(ward: Ward, tmp_path: Path) -> None:
    """And is killed then: nobody would save it again."""
    ward.delivered("1")
    one, slow = ward.slice("2"), Spool(tmp_path / "data", encryption(ward.engine))

    def then_overtaken(*arguments: object) -> None:
        ward.spool._write(*arguments)  # type: ignore[arg-type]
        slow._write = ward.spool._write  # type: ignore[method-assign]
        ward.purge()
        Inbox(ward.spool, ward.records).take(one)

    slow._write = then_overtaken  # type: ignore[method-assign]
    path = slow.save(one.identity, one.content, sha256(one.content).hexdigest())
    assert path in ward.records.paths()
    assert ward.contents(path) == one.content
    assert not list((tmp_path / "data").rglob("*.part"))


@pytest.mark.parametrize("when", ["given up", "removed", "forgotten"])
def test_an_inbox_keeps_what_comes_while_its_study_is_purged(
    ward: Ward, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward.delivered("1", "2")
    one, saved, save = ward.slice("1"), list[str](), ward.spool.save

    def then_purged(*arguments: object) -> str:
        saved.append(save(*arguments))  # type: ignore[arg-type]
        if len(saved) == 1:
            ward.give_up()
            if when != "given up":
                ward.remove()
            if when == "forgotten":
                ward.retention.forget("S", LATER + KEEP)
        elif len(saved) == 2:
            ward.remove()
        return saved[-1]

    monkeypatch.setattr(ward.spool, "save", then_purged)
    Inbox(ward.spool, ward.records).take(one)
    ward.remove()
    assert ward.files() == ward.records.paths() == set(saved)
    assert ward.contents(saved[0]) == one.content


def test_a_shadow_that_a_purge_overtook_leaves_no_key(ward: Ward) -> None:
    job_id = ward.delivered("1")
    ward.purge()
    results = results_of(job_id, "lobes", "2")
    ward.spool.save_results(results, {"result.json": b"late"})
    ward.spool.remove_results(results)
    Shadows(ward.engine).end(job_id, "lobes", "2", Shadow.WITHDRAWN, LATER)
    assert not any(key_rows(ward).values())


@pytest.mark.parametrize(
    ("kill", "call"),
    [
        ("os.rename = Path.rename", 'spool.save(arrival("2").identity, b"image", "1" * 64)'),
        ("os.urandom", 'spool.save(arrival("2").identity, b"image", "1" * 64)'),
        ("os.rename = Path.rename", 'spool.save_results("job", {"a.dcm": b"result"})'),
    ],
)
def test_a_process_that_is_killed_while_it_saves_leaves_nothing_that_is_in_the_way(
    tmp_path: Path, kill: str, call: str
) -> None:
    engine = open_database(tmp_path / "records.db")
    program = KILLED_WHILE_SAVING.format(kill=kill, call=call)
    with_helpers = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=with_helpers).returncode == 9
    spool = Spool(tmp_path, encryption(engine))
    assert list(spool.received()) == [] and not (tmp_path / "results" / "job").exists()
    digest = sha256(b"image").hexdigest()
    path = spool.save(arrival("2").identity, b"image", digest)
    paths = spool.save_results("job", {"a.dcm": b"result"})
    with spool.local([path, paths["a.dcm"]]) as files:
        assert [file.read_bytes() for file in files] == [b"image", b"result"]


def images(count: int) -> list[Arrival]:
    contents = []
    for dataset in make(slices=count).datasets:
        with BytesIO() as stream:
            dataset.save_as(stream, enforce_file_format=True)
            contents.append(stream.getvalue())
    return [Arrival(identify(one), "CT1", "THORACLE", "127.0.0.1", at(0), one) for one in contents]


def test_files_whose_rows_a_power_cut_took_are_recorded_again(ward: Ward) -> None:
    """Their key is never among what it takes: it was durable before the first of them."""
    inbox, arrivals = Inbox(ward.spool, ward.records), images(3)
    for one in arrivals:
        inbox.take(one)
    with ward.engine.begin() as connection:
        connection.execute(sa.delete(instances))
    assert inbox.reconcile(at(10)) == 3
    [series] = ward.records.series_of(arrivals[0].identity.study_uid)
    assert {ward.contents(path) for path in series.paths} == {one.content for one in arrivals}


def test_files_without_a_key_are_left_where_they_are_and_named(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    """The database was lost: that of a backup may have the keys."""
    inbox, (one, other) = Inbox(ward.spool, ward.records), images(2)
    inbox.take(one)
    ward.save(other)
    with ward.engine.begin() as connection:
        row = connection.execute(sa.delete(file_keys).returning(file_keys)).one()
        connection.execute(sa.delete(instances))
    assert inbox.reconcile(at(10)) == 0
    assert caplog.text.count("a file is left where it is, it cannot be read: ") == 2
    with ward.engine.begin() as connection:
        connection.execute(sa.insert(file_keys).values(**row._mapping))
    assert inbox.reconcile(at(20)) == 2
    assert {owner(path) for path in ward.files()} == {row.owner}


@pytest.mark.parametrize("new_files", [True, False])
def test_a_plain_file_in_an_encrypted_study_is_left_and_named(
    ward: Ward, tmp_path: Path, new_files: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody put it there; its name tells its content, and anybody can make such a name."""
    one, forged = images(2)
    Inbox(ward.spool, ward.records).take(one)
    path = Spool(tmp_path / "data").save(forged.identity, forged.content, sha256(forged.content).hexdigest())
    spool = Spool(tmp_path / "data", encryption(ward.engine, new_files=new_files))
    assert Inbox(spool, ward.records).reconcile(at(10)) == 0
    assert path not in ward.records.paths() and path in ward.files()
    assert f"this service has not saved it: {path}" in caplog.text


def test_a_plain_file_of_before_or_after_encryption_is_recorded(ward: Ward, tmp_path: Path) -> None:
    early, late = images(2)
    plain, off = Spool(tmp_path / "data"), Spool(tmp_path / "data", encryption(ward.engine, new_files=False))
    plain.save(early.identity, early.content, sha256(early.content).hexdigest())
    assert Inbox(ward.spool, ward.records).reconcile(at(10)) == 1, "it was turned on since"
    path = ward.save(late)
    with ward.engine.begin() as connection:
        forget_keys(connection, [owner(path)], at(20))
    ward.spool.remove(path)
    assert off.save(late.identity, late.content, sha256(late.content).hexdigest()) == path
    assert Inbox(off, ward.records).reconcile(at(30)) == 1, "it was turned off since the study was purged"


def test_a_file_under_another_name_than_its_own_is_left_and_named(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    one, other = images(2)
    ward.spool.save(one.identity, other.content, sha256(other.content).hexdigest())
    assert Inbox(ward.spool, ward.records).reconcile(at(10)) == 0
    assert "this service has not saved it" in caplog.text


def test_a_file_that_is_damaged_goes_as_ever(ward: Ward, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A power cut while it was written: its sender was never told that it is kept."""
    path = ward.save(images(1)[0])
    (tmp_path / "data" / path).write_bytes((tmp_path / "data" / path).read_bytes()[:-100])
    assert Inbox(ward.spool, ward.records).reconcile(at(10)) == 0
    assert ward.files() == set() and "damaged" in caplog.text
