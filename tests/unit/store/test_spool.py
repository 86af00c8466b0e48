"""What both spools promise, encrypted or not: the data directory, an object store (tests/peers has a real one)."""

from hashlib import sha256
from pathlib import Path

import pytest
from helpers.arrivals import arrival
from helpers.databases import open_database
from helpers.encryption import encryption
from obstore.store import MemoryStore

from service.domain.ports import Spool
from service.store.encryption import PLAIN
from service.store.object_spool import ObjectSpool
from service.store.spool import Spool as DiskSpool


@pytest.fixture(params=["disk", "object store", "disk, encrypted", "object store, encrypted"])
def spool(request: pytest.FixtureRequest, tmp_path: Path) -> Spool:
    how = encryption(open_database(tmp_path / "records.db")) if "encrypted" in request.param else PLAIN
    return DiskSpool(tmp_path, how) if "disk" in request.param else ObjectSpool(MemoryStore(), how)


def save(spool: Spool, content: bytes = b"content", **identity: str) -> str:
    return spool.save(arrival(**identity).identity, content, sha256(content).hexdigest())


def contents(spool: Spool, paths: dict[str, str]) -> dict[str, bytes]:
    with spool.local(list(paths.values())) as files:
        return {name: file.read_bytes() for name, file in zip(paths, files, strict=True)}


def test_a_file_is_read_as_it_was_saved(spool: Spool) -> None:
    path = save(spool)
    assert spool.read(path) == b"content"
    assert list(spool.received()) == [path]


def test_readers_get_paths_in_their_order(spool: Spool) -> None:
    saved = [save(spool, content, instance=str(content)) for content in (b"c", b"a", b"b")]
    with spool.local(saved) as paths:
        assert [path.read_bytes() for path in paths] == [b"c", b"a", b"b"]
        assert [path.name for path in paths] == [name.rpartition("/")[2] for name in saved]
    with spool.local([]) as paths:
        assert paths == []


def test_names_tell_nothing_and_are_the_same_everywhere(spool: Spool) -> None:
    path = save(spool, study_uid="../../etc", series_uid="a/b\0c", instance="x" * 300)
    assert path == (
        "spool/74ccf3c5b4c19a8167f9a3d1dd63e0e4/51a83b4c5b73e29f34005cdf40dd6e6f/"
        "0d4e2ca9e9cbced7a7a5380eb29e1a37-ed7002b439e9ac84.dcm"
    )
    assert spool.read(path) == b"content"


def test_other_bytes_of_an_instance_are_another_file(spool: Spool) -> None:
    first, second = save(spool, b"first"), save(spool, b"second")
    assert (spool.read(first), spool.read(second)) == (b"first", b"second")


def test_the_same_bytes_again_are_the_same_file(spool: Spool) -> None:
    assert save(spool) == save(spool)
    assert len(list(spool.received())) == 1


def test_when_a_file_was_saved(spool: Spool) -> None:
    first, second = save(spool, b"first"), save(spool, b"second")
    assert spool.saved_at(first).tzinfo is not None
    assert spool.saved_at(first) <= spool.saved_at(second)


def test_what_is_not_there_is_said_so(spool: Spool) -> None:
    path = save(spool)
    spool.remove(path)
    spool.remove(path)
    assert list(spool.received()) == []
    with pytest.raises(FileNotFoundError):
        spool.read(path)
    with pytest.raises(FileNotFoundError):
        spool.saved_at(path)
    with pytest.raises(FileNotFoundError), spool.local([path]) as [file]:
        file.read_bytes()


def test_results_keep_their_first_bytes(spool: Spool) -> None:
    paths = spool.save_results("job", {"b.sr.dcm": b"sr", "a.pdf": b"pdf"})
    assert list(paths) == ["a.pdf", "b.sr.dcm"]
    assert spool.save_results("job", {"a.pdf": b"other"}) == paths
    assert contents(spool, paths) == {"a.pdf": b"pdf", "b.sr.dcm": b"sr"}


def test_removed_results_are_gone_and_no_other_job_s(spool: Spool) -> None:
    removed = spool.save_results("job", {"a.pdf": b"pdf"})
    kept = spool.save_results("job-2", {"a.pdf": b"kept"})
    for _ in range(2):
        spool.remove_results("job")
    with pytest.raises(FileNotFoundError):
        contents(spool, removed)
    assert contents(spool, kept) == {"a.pdf": b"kept"}
    assert contents(spool, spool.save_results("job", {"a.pdf": b"again"})) == {"a.pdf": b"again"}


def test_what_is_whole_is_never_taken_for_a_part(spool: Spool) -> None:
    path, results = save(spool), spool.save_results("job", {"a.pdf": b"pdf"})
    spool.remove_parts(older_than_s=-1, now_s=spool.saved_at(path).timestamp() + 1e6)
    assert spool.read(path) == b"content"
    assert contents(spool, results) == {"a.pdf": b"pdf"}


def test_free_bytes(spool: Spool) -> None:
    assert spool.free_bytes() > 0
