"""Encrypted spools: nothing of a patient lies on the disk or in the bucket, and only what was saved is ever read."""

import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import obstore
import pytest
import sqlalchemy as sa
from helpers.arrivals import arrival
from helpers.databases import open_database
from helpers.encryption import MASTER, encryption, other_master
from obstore.store import LocalStore

from service.domain.ports import Spool
from service.store.encrypted_file import HEADER_BYTES, MAGIC, PIECE_BYTES, NotWhole
from service.store.encryption import PLAIN, Encryption
from service.store.engine import drop_log, sqlite_engine
from service.store.file_keys import FileKeys, KeyForgotten, KeyUnknown, forget_keys
from service.store.master_keys import MasterKeys, NoMasterKey
from service.store.names import owner, telling
from service.store.object_spool import ObjectSpool
from service.store.retention import Retention
from service.store.spool import Spool as DiskSpool
from service.store.tables import file_keys

CONTENT = b"\0" * 128 + b"DICM" + b"Doe^Jane" * 100


@dataclass
class House:
    """Spools of one kind in one folder, on one database."""

    folder: Path
    engine: sa.Engine
    make: Callable[[Encryption], Spool]

    def spool(self, *masters: bytes, new_files: bool = True) -> Spool:
        return self.make(encryption(self.engine, *masters, new_files=new_files))

    def forget(self, path: str) -> None:
        with self.engine.begin() as connection:
            forget_keys(connection, [owner(path)], arrival().received_at)


@pytest.fixture(params=["disk", "object store"])
def house(request: pytest.FixtureRequest, tmp_path: Path, engine: sa.Engine) -> House:
    folder = tmp_path / "spool-under-test"
    folder.mkdir()
    if request.param == "disk":
        return House(folder, engine, lambda how: DiskSpool(folder, how))
    return House(folder, engine, lambda how: ObjectSpool(LocalStore(folder), how))


def save(spool: Spool, content: bytes | memoryview = CONTENT, **identity: str) -> str:
    return spool.save(arrival(**identity).identity, content, sha256(content).hexdigest())


def contents(spool: Spool, *paths: str) -> list[bytes]:
    with spool.local(paths) as files:
        return [file.read_bytes() for file in files]


def test_nothing_of_a_patient_is_in_any_file(house: House) -> None:
    spool = house.spool()
    path = save(spool)
    results = spool.save_results("job", {"study.sr.dcm": CONTENT, "result.json": b'{"of": "Doe^Jane"}'})
    written = [file.read_bytes() for file in house.folder.rglob("*") if file.is_file()]
    assert len(written) >= 3
    assert not [one for one in written if b"DICM" in one or b"Doe" in one]
    assert spool.read(path) == CONTENT
    assert contents(spool, path, results["study.sr.dcm"]) == [CONTENT, CONTENT]


def test_without_it_files_are_what_they_were(house: House) -> None:
    path = save(house.make(PLAIN))
    assert (house.folder / path).read_bytes() == CONTENT


def test_names_are_the_same_and_tell_the_plain_content(house: House, tmp_path: Path) -> None:
    assert save(house.spool()) == save(DiskSpool(tmp_path / "other"))


def test_copies_are_gone_when_the_readers_are_done(house: House) -> None:
    spool = house.spool()
    path = save(spool)
    with spool.local([path]) as [copy]:
        assert copy.name == Path(path).name and not copy.is_relative_to(house.folder)
    assert not copy.exists()


@pytest.mark.parametrize("harm", ["changed", "cut off", "cut to its header", "cut to less", "another file", "plain"])
def test_other_bytes_than_were_saved_are_never_handed_out(house: House, harm: str) -> None:
    spool = house.spool()
    path, other = save(spool), save(spool, b"other", instance="2")
    result = spool.save_results("job", {"a.dcm": CONTENT})["a.dcm"]
    for victim in (path, result):
        file, whole = house.folder / victim, (house.folder / victim).read_bytes()
        harmed = {
            "changed": whole[:-1] + bytes([whole[-1] ^ 1]),
            "cut off": whole[:-20],
            "cut to its header": whole[:HEADER_BYTES],
            "cut to less": whole[: HEADER_BYTES - 1],
            "another file": (house.folder / other).read_bytes(),
            "plain": b"a forged image",
        }
        file.write_bytes(harmed[harm])
        with pytest.raises(NotWhole, match="other bytes than were saved"), spool.local([other, victim]):
            pass
        assert spool.read(victim) is None
    assert save(spool) == path
    assert contents(spool, path) == [CONTENT], "the sender's next try writes it anew"


def test_nobody_can_slip_in_plain_results_whose_names_tell_their_content(house: House) -> None:
    spool = house.spool()
    result = spool.save_results("job", {"a.dcm": CONTENT})["a.dcm"]
    forged = telling(str(Path(result).with_name("a.dcm")), b"forged")
    (house.folder / forged).write_bytes(b"forged")
    with pytest.raises(NotWhole), spool.local([forged]):
        pass


def test_nobody_can_put_a_manifest_before_that_of_encrypted_results(tmp_path: Path, engine: sa.Engine) -> None:
    class Watched(ObjectSpool):
        """Somebody sees results go up, and is quicker."""

        def _create(self, path: str, content: bytes) -> None:
            if path.endswith("manifest.json"):
                evil = telling("results/job/evil/a.dcm", b"forged")
                obstore.put(store, evil, b"forged")
                obstore.put(store, path, json.dumps({"a.dcm": evil}).encode())
            super()._create(path, content)

    store = LocalStore(tmp_path / "bucket", mkdir=True)
    how = encryption(engine)
    with pytest.raises(NotWhole):
        Watched(store, how).save_results("job", {"a.dcm": CONTENT})
    spool = ObjectSpool(store, how)
    with pytest.raises(NotWhole):
        spool.save_results("job", {"a.dcm": CONTENT})
    spool.remove_parts(-1.0, 0.0)
    spool.remove_results("job")
    assert contents(spool, *spool.save_results("job", {"a.dcm": CONTENT}).values()) == [CONTENT]
    assert b"a.dcm" not in (tmp_path / "bucket/results/job/manifest.json").read_bytes()


def test_a_file_moved_to_another_study_is_not_read_there(house: House) -> None:
    spool = house.spool()
    one, other = save(spool), save(spool, study_uid="T")
    shutil.copy(house.folder / one, house.folder / other)
    with pytest.raises(NotWhole), spool.local([other]):
        pass


def test_another_master_key_opens_nothing(house: House) -> None:
    path = save(house.spool())
    spool = house.spool(other_master())
    for read in (lambda: spool.read(path), lambda: contents(spool, path)):
        with pytest.raises(NoMasterKey, match=r"encryption\.master_key"):
            read()


def test_a_spool_that_knows_of_no_encryption_says_what_is_missing(house: House) -> None:
    """A worker that was started before the first encrypted file came."""
    path = save(house.spool())
    for read in (lambda: house.make(PLAIN).read(path), lambda: contents(house.make(PLAIN), path)):
        with pytest.raises(NoMasterKey, match="is not configured"):
            read()


def test_a_forgotten_key_opens_no_copy_any_more(house: House, tmp_path: Path) -> None:
    spool = house.spool()
    path = save(spool)
    copy = tmp_path / "copy"
    shutil.copy(house.folder / path, copy)
    house.forget(path)
    spool.remove(path)
    (house.folder / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(copy, house.folder / path)
    for read in (lambda: spool.read(path), lambda: contents(spool, path)):
        with pytest.raises(KeyForgotten):
            read()
    assert not spool.is_there(path, None)
    assert save(spool) == path and spool.read(path) == CONTENT, "what comes again has a new key"


def test_the_bytes_of_a_forgotten_key_are_gone_from_a_file_of_sqlite(tmp_path: Path) -> None:
    """PostgreSQL keeps old rows until it cleans up (VACUUM)."""
    engine = open_database(tmp_path / "records.db")
    house = House(tmp_path, engine, lambda how: DiskSpool(tmp_path, how))
    path = save(house.spool())
    with house.engine.begin() as connection:
        wrapped = connection.scalar(sa.select(file_keys.c.wrapped)).encode()
    assert drop_log(house.engine)
    assert wrapped in (tmp_path / "records.db").read_bytes()
    house.forget(path)
    assert Retention(house.engine).drop_log()
    assert not [file for file in tmp_path.glob("records.db*") if wrapped in file.read_bytes()]


def test_a_file_whose_key_is_in_no_row_is_told_so(house: House) -> None:
    path = save(house.spool())
    with house.engine.begin() as connection:
        connection.execute(sa.delete(file_keys))
    with pytest.raises(KeyUnknown, match="is not in this database"):
        house.spool().read(path)


def test_it_can_be_turned_on_and_off(house: House) -> None:
    before = save(house.make(PLAIN), instance="before", series_uid="S.0")
    on, off = house.spool(), house.spool(new_files=False)
    during = save(on, instance="during")
    later, other = save(off, instance="later"), save(off, study_uid="T")
    for spool in (on, off):
        assert contents(spool, before, during, later, other) == [CONTENT] * 4
        assert [spool.read(path) for path in (before, during, later, other)] == [CONTENT] * 4
    is_plain = {path: (house.folder / path).read_bytes() == CONTENT for path in (before, during, later, other)}
    assert is_plain == {before: True, during: False, later: False, other: True}, "a study goes on as it began"
    assert off.save_results("job", {"a.pdf": b"pdf"}) and on.save_results("job", {"a.pdf": b"other"})


def test_the_same_bytes_again_leave_the_file_alone(house: House) -> None:
    plain = save(house.make(PLAIN), study_uid="T")
    on = house.spool()
    path = save(on)
    assert (save(on), save(on, study_uid="T")) == (path, plain)
    assert contents(on, path, plain) == [CONTENT] * 2
    assert len(list(on.received())) == 2


@pytest.mark.parametrize("new_files", [True, False])
def test_an_image_that_looks_encrypted_is_read_as_it_came(house: House, new_files: bool) -> None:
    strange = MAGIC + os.urandom(100)
    early = save(house.make(PLAIN), strange, study_uid="T")
    late = save(house.spool(new_files=new_files), strange)
    spool = house.spool(new_files=new_files)
    assert [spool.read(path) for path in (early, late)] == [strange] * 2
    assert contents(spool, early, late) == [strange] * 2
    assert house.make(PLAIN).read(early) == strange
    assert contents(house.make(PLAIN), early) == [strange]


def test_a_new_master_key_wraps_what_the_old_one_did(house: House) -> None:
    path, new = save(house.spool()), other_master()
    before = (house.folder / path).read_bytes()
    both = FileKeys(house.engine, MasterKeys([new, MASTER]))
    assert (both.of_older_masters(), both.foreign(), both.unusable()) == (1, 0, 0)
    assert contents(house.spool(new, MASTER), path) == [CONTENT], "before it is wrapped again, too"
    assert (both.rewrap(), both.rewrap()) == (1, 0)
    alone = FileKeys(house.engine, MasterKeys([new]))
    assert (alone.of_older_masters(), alone.foreign(), alone.unusable(), alone.count()) == (0, 0, 0, 1)
    assert contents(house.spool(new), path) == [CONTENT]
    assert (house.folder / path).read_bytes() == before
    old = FileKeys(house.engine, MasterKeys([MASTER]))
    assert (old.foreign(), old.unusable()) == (1, 1)
    with pytest.raises(NoMasterKey):
        contents(house.spool(MASTER), path)


def test_a_new_master_key_that_all_know_before_one_uses_it_refuses_no_image_in_between(house: House) -> None:
    """Processes are restarted one by one, while a study comes to all of them."""
    new = other_master()
    before, knows, uses = (house.spool(*masters) for masters in ((MASTER,), (MASTER, new), (new, MASTER)))
    one = [save(spool, instance=str(number)) for number, spool in enumerate((knows, before))]
    two = [save(spool, study_uid="T", instance=str(number)) for number, spool in enumerate((uses, knows))]
    for spool in (knows, uses):
        assert contents(spool, *one, *two) == [CONTENT] * 4


@pytest.mark.parametrize("column", ["wrapped", "owner"])
def test_a_key_that_was_changed_in_the_database_or_given_to_another_study_is_no_use(house: House, column: str) -> None:
    spool = house.spool()
    path = save(spool)
    save(spool, study_uid="T")
    with house.engine.begin() as connection:
        rows = connection.execute(sa.select(file_keys)).all()
        mine, others = sorted(rows, key=lambda row: row.owner != owner(path))
        connection.execute(sa.delete(file_keys).where(file_keys.c.key_id == others.key_id))
        value = {"wrapped": others.wrapped, "owner": others.owner}[column]
        connection.execute(sa.update(file_keys).where(file_keys.c.key_id == mine.key_id).values({column: value}))
    with pytest.raises(NoMasterKey, match="not what was written"):
        spool.read(path)
    assert FileKeys(house.engine, MasterKeys([MASTER])).unusable() == 1


def test_memory_does_not_grow_with_a_large_object(house: House, tmp_path: Path) -> None:
    """As a receiver saves it from a mapped file, and a worker reads it."""
    spool, size = house.spool(), 160 * PIECE_BYTES
    content = memoryview(bytearray(size))
    tracemalloc.start()
    try:
        path = save(spool, content)
        with spool.local([path]) as [copy]:
            assert copy.stat().st_size == size
        assert tracemalloc.get_traced_memory()[1] < 70 * PIECE_BYTES, "an upload has twelve parts of 5 MiB in hand"
    finally:
        tracemalloc.stop()


def test_one_of_two_receivers_makes_the_key_and_both_use_it(house: House) -> None:
    first, second = (FileKeys(house.engine, MasterKeys([MASTER])) for _ in range(2))
    made = first._made("spool/x")
    assert second._made("spool/x") == made == first.of("spool/x") == second.of("spool/x")


def test_an_owner_has_one_key_in_use_and_any_number_of_forgotten_ones(house: House) -> None:
    paths = []
    for _ in range(3):
        paths.append(save(house.spool()))
        house.forget(paths[-1])
    save(house.spool())
    with house.engine.begin() as connection:
        rows = connection.execute(sa.select(file_keys)).all()
    assert [row.wrapped is None for row in sorted(rows, key=lambda row: row.made_at)] == [True, True, True, False]
    with pytest.raises(sa.exc.IntegrityError), house.engine.begin() as connection:
        connection.execute(sa.update(file_keys).values(wrapped="00"))


def test_a_key_is_durable_before_a_file_needs_it(tmp_path: Path) -> None:
    """The receiver's other commits may be lost in a power cut, and its files then are found without a row."""
    open_database(tmp_path / "records.db")
    receiver, full, levels = sqlite_engine(tmp_path / "records.db", "NORMAL"), 2, list[int]()
    spool = DiskSpool(tmp_path, encryption(receiver))
    sa.event.listen(receiver, "commit", lambda c: levels.append(c.exec_driver_sql("PRAGMA synchronous").scalar()))
    save(spool)
    assert levels[-1] == full
    save(spool, instance="2")
    assert levels[-1] < full


def test_what_the_database_cannot_do_is_an_os_error(house: House) -> None:
    path = save(house.spool())
    with house.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE file_keys"))
    for use in (lambda: save(house.spool()), lambda: house.spool().read(path), lambda: contents(house.spool(), path)):
        with pytest.raises(OSError, match="the database fails"):
            use()
