"""What only the object store can suffer: two writers at one job, attempts that were killed, damaged objects."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import obstore
import pytest
from helpers.arrivals import arrival
from obstore.exceptions import GenericError
from obstore.store import MemoryStore

from service.errors import Permanent
from service.store.object_spool import ObjectSpool
from service.store.s3 import s3_store

MANIFEST = "results/job/manifest.json"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def spool(store: MemoryStore) -> ObjectSpool:
    return ObjectSpool(store)


def objects(store: MemoryStore, folder: str = "results") -> set[str]:
    return {one["path"] for batch in obstore.list(store, folder) for one in batch}


def before_the_manifest(monkeypatch: pytest.MonkeyPatch, then: Callable[[], Any]) -> None:
    """Something happens, once, between the files of an attempt and its manifest."""
    really, due = obstore.put, [then]

    def put(store: MemoryStore, path: str, content: bytes, **options: Any) -> Any:
        if path == MANIFEST and due:
            due.pop()()
        return really(store, path, content, **options)

    monkeypatch.setattr(obstore, "put", put)


def killed() -> None:
    raise KeyboardInterrupt


def test_the_manifest_names_the_files(spool: ObjectSpool, store: MemoryStore) -> None:
    paths = spool.save_results("job", {"lobes.seg.dcm": b"seg"})
    assert json.loads(bytes(obstore.get(store, MANIFEST).bytes())) == paths
    assert paths["lobes.seg.dcm"].endswith(f"/lobes.seg-{sha256(b'seg').hexdigest()[:16]}.dcm")
    assert objects(store) == {MANIFEST, *paths.values()}


def test_the_first_of_two_writers_wins_and_the_other_leaves_nothing(
    spool: ObjectSpool, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: dict[str, str] = {}
    before_the_manifest(monkeypatch, lambda: first.update(spool.save_results("job", {"a.pdf": b"first"})))
    assert spool.save_results("job", {"a.pdf": b"second"}) == first
    assert objects(store) == {MANIFEST, *first.values()}


def test_an_answer_that_was_lost_does_not_cost_the_results(
    spool: ObjectSpool, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The put is tried again by obstore and then finds its own manifest."""
    really = obstore.put

    def put(store: MemoryStore, path: str, content: bytes, **options: Any) -> Any:
        if path == MANIFEST:
            really(store, path, content, **options)
        return really(store, path, content, **options)

    monkeypatch.setattr(obstore, "put", put)
    paths = spool.save_results("job", {"a.pdf": b"pdf"})
    assert objects(store) == {MANIFEST, *paths.values()}


def test_an_attempt_without_manifest_is_none_and_goes_when_it_is_old(
    spool: ObjectSpool, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_the_manifest(monkeypatch, killed)
    with pytest.raises(KeyboardInterrupt):
        spool.save_results("job", {"a.pdf": b"killed"})
    [left] = objects(store)
    paths = spool.save_results("job", {"a.pdf": b"pdf"})
    spool.remove_parts(older_than_s=3600, now_s=time.time() + 7200)
    assert left in objects(store), "it is young by the store's clock, whatever ours says"
    spool.remove_parts(older_than_s=-1, now_s=time.time())
    assert objects(store) == {MANIFEST, *paths.values()}


def test_an_attempt_of_a_job_that_has_no_results_goes_too(
    spool: ObjectSpool, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_the_manifest(monkeypatch, killed)
    with pytest.raises(KeyboardInterrupt):
        spool.save_results("job", {"a.pdf": b"killed"})
    assert len(objects(store)) == 1
    spool.remove_parts(older_than_s=-1, now_s=time.time())
    assert objects(store) == set()


def test_results_that_are_removed_meanwhile_are_saved_later(
    spool: ObjectSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(store: MemoryStore, path: str, content: bytes, **options: Any) -> Any:
        if path == MANIFEST:
            raise obstore.exceptions.AlreadyExistsError("there is one")

    monkeypatch.setattr(obstore, "put", put)
    with pytest.raises(OSError, match="removed while they were saved"):
        spool.save_results("job", {"a.pdf": b"pdf"})


def test_other_bytes_than_were_saved_are_never_handed_out(spool: ObjectSpool, store: MemoryStore) -> None:
    received = spool.save(arrival().identity, b"content", sha256(b"content").hexdigest())
    result = spool.save_results("job", {"a.pdf": b"pdf"})["a.pdf"]
    for path in (received, result):
        obstore.put(store, path, b"damaged")
        assert spool.read(path) is None
        with pytest.raises(OSError, match="other bytes"), spool.local([path]):
            pass


def test_copies_are_gone_when_the_readers_are_done(spool: ObjectSpool) -> None:
    path = spool.save(arrival().identity, b"content", sha256(b"content").hexdigest())
    with spool.local([path]) as [copy]:
        assert copy.is_file()
    assert not copy.exists()


READER = """
import sys, time
from hashlib import sha256
from helpers.arrivals import arrival
from obstore.store import MemoryStore
from service.store.object_spool import ObjectSpool
spool = ObjectSpool(MemoryStore())
with spool.local([spool.save(arrival().identity, b"1", sha256(b"1").hexdigest())]):
    print("reading", flush=True)
    time.sleep(600)
"""


def test_copies_of_a_killed_reader_are_removed_and_those_in_use_are_not(
    spool: ObjectSpool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = os.pathsep.join(filter(None, sys.path))
    reader = subprocess.Popen(
        [sys.executable, "-c", READER],
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    assert reader.stdout is not None and reader.stdout.readline() == b"reading\n"
    later = time.time() + 7200
    spool.remove_parts(3600.0, later)
    assert list(tmp_path.rglob("*.dcm")), "somebody reads them"
    reader.kill()
    reader.communicate()
    spool.remove_parts(3600.0, time.time())
    assert list(tmp_path.rglob("*.dcm")), "too young: somebody may be about to"
    spool.remove_parts(3600.0, later)
    assert list(tmp_path.iterdir()) == []


def test_whatever_goes_wrong_in_the_store_is_an_os_error(spool: ObjectSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise GenericError("no route to host\n\nDebug source: the whole request")

    for name in ("put", "get", "head", "list", "delete"):
        monkeypatch.setattr(obstore, name, away)
    calls: list[Callable[[], object]] = [
        lambda: spool.save(arrival().identity, b"", "0" * 64),
        lambda: spool.read("x"),
        lambda: spool.saved_at("x"),
        lambda: list(spool.received()),
        lambda: spool.local(["x"]).__enter__(),
        lambda: spool.save_results("job", {}),
        lambda: spool.remove("x"),
        lambda: spool.remove_results("job"),
        lambda: spool.remove_parts(0, 0),
    ]
    for call in calls:
        with pytest.raises(OSError, match=r"^object store: no route to host$"):
            call()
    assert spool.why_not() == "object store: no route to host"


def test_a_store_that_ignores_conditions_cannot_be_a_spool(
    spool: ObjectSpool, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert spool.why_not() is None
    really = obstore.put
    monkeypatch.setattr(obstore, "put", lambda store, path, content, mode=None: really(store, path, content))
    assert "conditional puts" in str(spool.why_not())
    assert objects(store, "") == set()


@pytest.mark.parametrize("url", ["http://bucket/x", "/var/lib", "s3://"])
def test_an_address_that_is_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(Permanent, match=f"'{url}'"):
        s3_store(url)


def test_half_of_the_credentials_are_refused() -> None:
    with pytest.raises(Permanent, match=r"Missing SecretAccessKey$"):
        s3_store("s3://bucket/prefix", access_key_id="the-key")


def test_the_secret_is_in_no_text() -> None:
    store = s3_store("s3://bucket/prefix", secret_access_key="the-secret", access_key_id="the-key")
    assert repr(store) == 'S3Store(bucket="bucket", prefix="prefix")'
