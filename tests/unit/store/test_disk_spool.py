"""What only the data directory can suffer: kills, power cuts, a full disk."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from hashlib import sha256
from pathlib import Path
from threading import Event

import pytest
from helpers.arrivals import arrival, at

from service.store import spool as disk
from service.store.spool import Spool

KILLED_WHILE = """
import os, sys, shutil
from pathlib import Path
from service.store.spool import Spool
{kill} = lambda *_: os._exit(9)
Spool(Path(sys.argv[1])).{call}
"""


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path)


def save(spool: Spool, content: bytes = b"content", **identity: str) -> str:
    return spool.save(arrival(**identity).identity, content, sha256(content).hexdigest())


def killed(tmp_path: Path, kill: str, call: str) -> None:
    program = KILLED_WHILE.format(kill=kill, call=call)
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)]).returncode == 9


def test_uids_that_are_no_file_names_stay_inside_the_spool(spool: Spool, tmp_path: Path) -> None:
    path = save(spool, study_uid="../../etc", series_uid="a/b\0c", instance="x" * 300)
    assert (tmp_path / path).resolve().is_relative_to(tmp_path / "spool")


def test_readers_get_the_files_themselves(spool: Spool, tmp_path: Path) -> None:
    path = save(spool)
    with spool.local([path]) as paths:
        assert paths == [tmp_path / path]


def test_the_same_bytes_again_leave_the_file_alone(spool: Spool, tmp_path: Path) -> None:
    path = save(spool)
    before = (tmp_path / path).stat()
    assert save(spool) == path
    assert (tmp_path / path).stat().st_ino == before.st_ino


def test_a_file_that_a_power_cut_damaged_is_noticed_and_written_anew(spool: Spool, tmp_path: Path) -> None:
    path = save(spool)
    (tmp_path / path).write_bytes(b"\0" * 7)
    assert spool.read(path) is None
    assert save(spool) == path
    assert spool.read(path) == b"content"


def test_the_file_and_every_new_name_on_the_way_to_it_are_synced(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    really = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        really(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    file = tmp_path / save(spool)
    assert {file, file.parent, file.parent.parent, tmp_path / "spool", tmp_path} <= set(synced)


def test_results_are_a_folder_with_the_files_names(spool: Spool) -> None:
    paths = spool.save_results("job", {"b.sr.dcm": b"sr", "a.pdf": b"pdf"})
    assert paths == {"a.pdf": "results/job/a.pdf", "b.sr.dcm": "results/job/b.sr.dcm"}


def test_a_process_killed_while_writing_results_leaves_none(spool: Spool, tmp_path: Path) -> None:
    killed(tmp_path, "os.rename = Path.rename", 'save_results("job", {"a.pdf": b"x" * 1000})')
    assert not (tmp_path / "results" / "job").exists()
    assert spool.save_results("job", {"a.pdf": b"pdf"}) == {"a.pdf": "results/job/a.pdf"}


def test_a_process_killed_while_removing_results_leaves_none(spool: Spool, tmp_path: Path) -> None:
    spool.save_results("job", {"a.pdf": b"pdf", "b.pdf": b"pdf"})
    killed(tmp_path, "shutil.rmtree", 'remove_results("job")')
    [part] = (tmp_path / "results").iterdir()
    spool.remove_parts(older_than_s=0, now_s=part.stat().st_mtime + 1)
    assert list((tmp_path / "results").iterdir()) == []


def test_a_purge_of_the_study_while_a_file_is_saved_costs_neither(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study's last file and its folders go between any two steps of saving another one, or the same one."""
    steps: list[str] = []
    really = {"exists": Path.exists, "write_bytes": Path.write_bytes, "rename": Path.rename}
    last = save(spool, b"last", instance="last")

    def purged_before(step: str, path: Path, *arguments: object) -> object:
        if path.is_relative_to(tmp_path / "spool") and step not in steps:
            steps.append(step)
            spool.remove(last, saved)
        return really[step](path, *arguments)

    saved = save(spool, b"saved")
    for step in really:
        monkeypatch.setattr(Path, step, lambda path, *a, step=step: purged_before(step, path, *a))
    assert save(spool, b"saved") == saved
    assert spool.read(saved) == b"saved"
    assert steps == ["exists", "write_bytes", "rename"]


def test_folders_go_with_their_last_file(spool: Spool, tmp_path: Path) -> None:
    first, second = save(spool, instance="1"), save(spool, instance="2", series_uid="S.2")
    spool.remove(first)
    assert [p.name for p in (tmp_path / "spool").glob("*/*")] == [Path(second).parent.name]
    spool.remove(second, "spool/unknown/series/file.dcm")
    assert list((tmp_path / "spool").iterdir()) == []
    assert spool.read(save(spool, instance="1")) is not None


def test_a_removal_is_durable(spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut brings files back that have no row any more, and they would be taken for a new study."""
    first, second = save(spool, instance="1"), save(spool, instance="2")
    spool.save_results("job", {"a.pdf": b"pdf"})
    synced: list[Path] = []
    monkeypatch.setattr("service.store.spool._sync", synced.append)
    spool.remove(first)
    assert tmp_path / Path(first).parent in synced
    spool.remove(second)
    assert tmp_path / "spool" in synced
    spool.remove_results("job")
    assert tmp_path / "results" in synced


def test_what_a_killed_process_left_is_removed_when_it_is_old(spool: Spool, tmp_path: Path) -> None:
    whole = save(spool)
    old, young = ((tmp_path / whole).with_name(f"{name}.part") for name in ("old", "young"))
    folder = tmp_path / "results" / "job-1.part"
    folder.mkdir(parents=True)
    for path, seconds in ((old, 0), (young, 5000), (folder, 0)):
        path.touch()
        os.utime(path, (at(seconds).timestamp(),) * 2)
    spool.remove_parts(older_than_s=3600, now_s=at(5001).timestamp())
    assert (old.exists(), young.exists(), folder.exists()) == (False, True, False)
    assert spool.read(whole) is not None


def test_a_full_disk_leaves_nothing_half_written(spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        save(spool)
    with pytest.raises(OSError, match="No space left"):
        spool.save_results("job", {"a.pdf": b"pdf"})
    assert [path for path in tmp_path.rglob("*") if path.is_file() or path.suffix == ".part"] == []


def test_a_folder_that_is_made_anew_is_durable_before_anybody_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A purge removed it; two threads save into it, and the first is still making it durable."""
    spool, syncing, go_on, sync = Spool(tmp_path), Event(), Event(), disk._sync
    one, two = (arrival(number).identity for number in "12")
    spool.remove(spool.save(one, b"1", "1" * 64))

    def slow(path: Path) -> None:
        if path == tmp_path / "spool" and not go_on.is_set():
            syncing.set()
            go_on.wait(60)
        sync(path)

    monkeypatch.setattr(disk, "_sync", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(spool.save, one, b"1", "1" * 64)
        assert syncing.wait(60)
        second = pool.submit(spool.save, two, b"2", "2" * 64)
        try:
            assert not wait([second], timeout=1).done
        finally:
            go_on.set()
        assert first.result() != second.result()
