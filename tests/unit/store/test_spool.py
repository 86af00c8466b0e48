import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from arrivals import arrival, at

from service.store.spool import Spool

KILLED_WHILE_WRITING = """
import os, sys
from pathlib import Path
from service.store.spool import Spool
os.rename = Path.rename = lambda *_: os._exit(9)
Spool(Path(sys.argv[1])).save_results("job", {"a.pdf": b"x" * 1000})
"""


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path)


def save(spool: Spool, content: bytes = b"content", **identity: str) -> str:
    return spool.save(arrival(**identity).identity, content, sha256(content).hexdigest())


def test_a_file_is_read_as_it_was_saved(spool: Spool, tmp_path: Path) -> None:
    path = save(spool)
    assert spool.read(path) == (tmp_path / path).read_bytes() == b"content"
    assert list(spool.received()) == [path]


def test_uids_that_are_no_file_names_stay_inside_the_spool(spool: Spool, tmp_path: Path) -> None:
    path = save(spool, study_uid="../../etc", series_uid="a/b\0c", instance="x" * 300)
    assert (tmp_path / path).resolve().is_relative_to(tmp_path / "spool")
    assert spool.read(path) == b"content"


def test_other_bytes_of_an_instance_are_another_file(spool: Spool) -> None:
    first, second = save(spool, b"first"), save(spool, b"second")
    assert (spool.read(first), spool.read(second)) == (b"first", b"second")


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


def test_results_appear_together_and_keep_their_first_bytes(spool: Spool, tmp_path: Path) -> None:
    paths = spool.save_results("job", {"b.sr.dcm": b"sr", "a.pdf": b"pdf"})
    assert paths == {"a.pdf": "results/job/a.pdf", "b.sr.dcm": "results/job/b.sr.dcm"}
    assert spool.save_results("job", {"a.pdf": b"other"}) == paths
    assert (tmp_path / paths["a.pdf"]).read_bytes() == b"pdf"


def test_a_process_killed_while_writing_results_leaves_none(spool: Spool, tmp_path: Path) -> None:
    died = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path)])
    assert died.returncode == 9
    assert not (tmp_path / "results" / "job").exists()
    assert spool.save_results("job", {"a.pdf": b"pdf"}) == {"a.pdf": "results/job/a.pdf"}


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


def test_free_bytes(spool: Spool) -> None:
    assert spool.free_bytes() > 0
