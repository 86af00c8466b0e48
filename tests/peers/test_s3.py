"""The spool in a real S3 server: what a wrong secret, an outage, a kill and two writers at once do to it."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from helpers import make_ct
from helpers.arrivals import arrival
from helpers.databases import open_database
from helpers.encryption import encryption
from helpers.receiving import Receiving
from helpers.s3_server import S3Server

from service.network.send import Verdict, send
from service.store.encryption import PLAIN
from service.store.names import owner
from service.store.object_spool import ObjectSpool

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def spool(server: S3Server) -> ObjectSpool:
    return server.spool()


def save(spool: ObjectSpool, content: bytes, instance: str = "1") -> str:
    return spool.save(arrival(instance).identity, content, sha256(content).hexdigest())


def together(*calls: Callable[[], dict[str, str]]) -> list[dict[str, str]]:
    """What calls answer that begin at the same moment."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], dict[str, str]]) -> dict[str, str]:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("size", [0, 1, 524_288, 12_000_000])
def test_every_byte_comes_back(server: S3Server, tmp_path: Path, size: int, encrypted: bool) -> None:
    how = encryption(open_database(tmp_path / "records.db")) if encrypted else PLAIN
    spool = server.spool(how=how)
    content = Random(size).randbytes(size)
    path = save(spool, content)
    assert spool.read(path) == content
    with spool.local([path]) as [copy]:
        assert copy.read_bytes() == content
    assert abs((datetime.now(UTC) - spool.saved_at(path)).total_seconds()) < 60
    assert spool.is_there(path) is not encrypted
    assert how.keys is None or spool.is_there(path, how.keys.of(owner(path)).key_id)


def test_three_hundred_slices(spool: ObjectSpool) -> None:
    slices = {str(k): Random(k).randbytes(524_288) for k in range(300)}
    began = time.perf_counter()
    with ThreadPoolExecutor(4) as senders:
        paths = list(senders.map(lambda one: save(spool, one[1], one[0]), slices.items()))
    put_s, began = time.perf_counter() - began, time.perf_counter()
    with spool.local(paths) as copies:
        print(f"300 slices of 512 KiB: put {put_s:.1f} s, get {time.perf_counter() - began:.1f} s")
        assert [copy.read_bytes() for copy in copies] == list(slices.values())
    assert set(spool.received()) == set(paths)


def test_more_files_than_one_answer_lists(spool: ObjectSpool) -> None:
    with ThreadPoolExecutor(8) as senders:
        paths = set(senders.map(lambda k: save(spool, b"x", str(k)), range(1001)))
    assert set(spool.received()) == paths


def test_results_come_back_and_go(spool: ObjectSpool) -> None:
    paths = spool.save_results("job", {"a.pdf": b"pdf", "b.sr.dcm": b"sr"})
    with spool.local(list(paths.values())) as copies:
        assert [copy.read_bytes() for copy in copies] == [b"pdf", b"sr"]
    for _ in range(2):
        spool.remove_results("job")
    for path in paths.values():
        with pytest.raises(FileNotFoundError, match=r"^object store: .*NoSuchKey$"):
            spool.read(path)


def test_two_workers_at_one_job_agree_on_the_first(server: S3Server) -> None:
    for round_ in range(20):
        one, other = server.spool(f"race-{round_}"), server.spool(f"race-{round_}")
        first, second = together(
            lambda one=one: one.save_results("job", {"a.pdf": b"one"}),  # type: ignore[misc]
            lambda other=other: other.save_results("job", {"a.pdf": b"other"}),  # type: ignore[misc]
        )
        assert first == second == one.save_results("job", {"a.pdf": b"late"})
        assert one.read(first["a.pdf"]) in (b"one", b"other")


def test_a_wrong_secret_is_said_in_words(server: S3Server) -> None:
    stranger = server.spool(secret="guessed")
    assert str(stranger.why_not()).endswith("403 Forbidden: SignatureDoesNotMatch")
    with pytest.raises(OSError, match="SignatureDoesNotMatch"):
        save(stranger, b"content")


def test_a_short_outage_is_waited_out(tmp_path: Path) -> None:
    with S3Server(tmp_path) as server, ThreadPoolExecutor(1) as sender:
        spool = server.spool(retry_s=60)
        server.kill()
        saved = sender.submit(save, spool, b"content")
        server.start()
        assert spool.read(saved.result()) == b"content"


def test_a_slice_is_refused_while_the_store_is_away_and_taken_when_it_is_back(tmp_path: Path) -> None:
    slices = make_ct.write(make_ct.make(slices=3).datasets, tmp_path / "sent")
    with S3Server(tmp_path / "s3") as server:
        with Receiving(tmp_path / "data", spool=server.spool("away")) as receiver:
            [first] = send(receiver.node, slices[:1])
            server.kill()
            refused = send(receiver.node, slices)
            assert {(o.verdict, o.status) for o in refused} == {(Verdict.TRANSIENT, 0xA700)}
            assert set(receiver.rows()) == {first.sop_instance_uid}
            server.start()
            assert {o.verdict for o in send(receiver.node, slices)} == {Verdict.STORED}
            rows = receiver.rows()
        spool = server.spool("away")
        assert set(spool.received()) == {row.path for row in rows.values()}
        with spool.local([row.path for row in rows.values()]) as copies:
            assert all(copy.stat().st_size > 0 for copy in copies)


def test_a_new_database_is_filled_from_the_store(server: S3Server, tmp_path: Path) -> None:
    slices = make_ct.write(make_ct.make(slices=3).datasets, tmp_path / "sent")
    with Receiving(tmp_path / "old", spool=server.spool("kept")) as receiver:
        send(receiver.node, slices)
        known = {uid: row.path for uid, row in receiver.rows().items()}
    fresh = Receiving(tmp_path / "new", spool=server.spool("kept"))
    assert fresh.inbox.reconcile(datetime.now(UTC)) == 3
    assert {uid: row.path for uid, row in fresh.rows().items()} == known
