"""What a peer can do to the receiver on a flat network, and what the others notice of it: nothing."""

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from helpers import receiving as receiving_helper
from helpers.dicom_peers import wait_until
from helpers.receiving import Receiving
from pydicom import Dataset, dcmread
from pynetdicom import AE, build_role
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ, N_EVENT_REPORT_RQ
from pynetdicom.dimse_primitives import C_STORE, N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import CTImageStorage, StorageCommitmentPushModel, Verification

from service.domain.arrival import Arrival
from service.domain.commitment import Report
from service.network import bounded_socket, callers
from service.network.peer import echo
from service.network.received import Room
from service.store.inbox import Inbox

pytestmark = pytest.mark.peers


@contextmanager
def associated(port: int, calling_ae: str = "CT1", source: str = "127.0.0.1") -> Iterator[Association]:
    ae = AE(calling_ae)
    for context in (Verification, CTImageStorage):
        ae.add_requested_context(context)
    association = ae.associate("127.0.0.1", port, bind_address=(source, 0))
    yield association
    if association.is_established:
        association.release()


def context_of(association: Association) -> PresentationContext:
    """Of CT images."""
    return next(c for c in association.accepted_contexts if c.abstract_syntax == CTImageStorage)


def status_of(association: Association, pdus: Iterable[bytes]) -> int:
    """What a request is answered with; pynetdicom's own thread, which takes whatever comes, waits meanwhile."""
    association._reactor_checkpoint.clear()
    wait_until(lambda: association._is_paused, 5)
    for pdu in pdus:
        raw(association).sendall(pdu)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    assert answer is not None
    return int(answer.Status)


def anonymous_bytes(process: int) -> int:
    """Memory of a process without the files that it has mapped."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")))


def raw(association: Association) -> socket.socket:
    """What is under the association."""
    below = association.dul.socket
    assert below is not None and below.socket is not None
    return below.socket


def stored(number: int, context: PresentationContext, length: int = 1_000_000, longest: int = 0) -> Iterator[bytes]:
    """The PDUs of a C-STORE request with an image of that many bytes; longest: bytes of a PDU, 0 for any."""
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, f"2.25.{number}"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.Modality = "2.25.1000", "2.25.1001", "CT"
    image.add_new("PixelData", "OW", bytes(length))
    syntax = context.transfer_syntax[0]
    encoded = encode(image, syntax.is_implicit_VR, syntax.is_little_endian)
    assert encoded is not None and context.context_id is not None
    request, message = C_STORE(), C_STORE_RQ()
    request.MessageID, request.Priority, request.DataSet = number, 2, BytesIO(encoded)
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    message.primitive_to_message(request)
    for part in message.encode_msg(context.context_id, longest):
        pdu = P_DATA_TF()
        pdu.from_primitive(part)
        yield pdu.encode()


def test_silent_connections_keep_no_modality_out(tmp_path: Path) -> None:
    with Receiving(tmp_path, calls={"max_associations": 2}) as receiving, ExitStack() as crowd:
        before, began = threading.active_count(), time.process_time()
        for _ in range(400):
            crowd.enter_context(socket.create_connection(("127.0.0.1", receiving.port)))
        assert threading.active_count() == before
        assert echo(receiving.node) is None
        assert time.process_time() - began < 3


@pytest.mark.conformance("rejections/limit")
def test_one_caller_leaves_places_for_others(tmp_path: Path) -> None:
    calls = {"max_associations": 4, "max_associations_each": 2}
    with Receiving(tmp_path, calls=calls) as receiving, ExitStack() as held:

        def tried(calling_ae: str, source: str) -> bool:
            return held.enter_context(associated(receiving.port, calling_ae, source)).is_established

        assert tried("CT1", "127.0.0.1")
        assert tried("CT1", "127.0.0.1")
        assert not tried("CT2", "127.0.0.1"), "its address has its places"
        assert tried("CT1", "127.0.0.2"), "who borrows an AE title takes nothing from its owner"
        assert tried("CT3", "127.0.0.3")
        assert not tried("CT4", "127.0.0.4"), "all are taken"
        assert receiving.busy == "all 4 associations are taken"
        held.close()
        wait_until(lambda: echo(receiving.node) is None and not receiving.busy, 10)


@pytest.mark.parametrize("claimed", [bounded_socket.LONGEST + 1, 4_000_000_000])
def test_a_pdu_has_a_longest_size(tmp_path: Path, claimed: int) -> None:
    with Receiving(tmp_path) as receiving, associated(receiving.port) as association:
        before = psutil.Process().memory_info().rss
        raw(association).sendall(b"\4\0" + struct.pack(">L", claimed) + bytes(100_000))
        wait_until(lambda: association.is_aborted, 5)
        assert psutil.Process().memory_info().rss - before < 20e6
        assert echo(receiving.node) is None


def test_a_pdu_has_a_longest_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_socket, "PDU_WITHIN_S", 1.0)
    with Receiving(tmp_path) as receiving, associated(receiving.port) as association:
        began, connection = time.monotonic(), raw(association)
        connection.sendall(b"\4\0" + struct.pack(">L", 100_000))
        with suppress(OSError):
            while time.monotonic() - began < 10:
                connection.sendall(b"\0")
                time.sleep(0.1)
        assert time.monotonic() - began < 4
        assert echo(receiving.node) is None


def test_who_does_not_wait_for_answers_is_not_read_ahead_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred requests of 1 MB at once, while the disk is slow: what waits is a few of them, not all."""
    go, taken = threading.Event(), list[int]()

    def slow(_self: Inbox, arrival: Arrival) -> None:
        go.wait(20)
        taken.append(len(arrival.content))

    monkeypatch.setattr(Inbox, "take", slow)
    with Receiving(tmp_path / "data") as receiving, associated(receiving.port) as association:
        context = context_of(association)
        connection = raw(association)
        pdus = [pdu for number in range(1, 101) for pdu in stored(number, context)]
        sending = threading.Thread(target=lambda: [connection.sendall(one) for one in pdus], daemon=True)
        before = psutil.Process().memory_info().rss
        sending.start()
        time.sleep(3)
        assert sending.is_alive(), "the sender has to wait"
        assert psutil.Process().memory_info().rss - before < 60e6
        go.set()
        wait_until(lambda: len(taken) == 100, 60)
        association.abort()


def test_a_large_object_comes_through_a_file_and_stays_as_it_was(tmp_path: Path) -> None:
    script = Path(receiving_helper.__file__)
    with subprocess.Popen([sys.executable, script, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with associated(port) as association:
                assert association.send_c_echo().Status == 0
                before, taken = anonymous_bytes(process.pid), list[int]()

                def watched() -> Iterator[bytes]:
                    for pdu in stored(1, context_of(association), 200_000_000, 1 << 20):
                        taken.append(anonymous_bytes(process.pid) - before)
                        yield pdu

                assert status_of(association, watched()) == 0
                assert len(taken) > 190
                again = stored(1, context_of(association), 200_000_000, 1 << 20)
                watching = threading.Event()

                def watch() -> None:
                    while not watching.wait(0.02):
                        taken.append(anonymous_bytes(process.pid) - before)

                watcher = threading.Thread(target=watch)
                watcher.start()
                assert status_of(association, again) == 0, "the same again is compared with what is there"
                watching.set()
                watcher.join()
                assert max(taken) < 60e6
        finally:
            process.kill()
    (kept,) = (tmp_path / "spool").rglob("*.dcm")
    image = dcmread(kept)
    assert (image.SOPInstanceUID, len(image.PixelData), any(image.PixelData)) == ("2.25.1", 200_000_000, False)
    assert not list(tmp_path.glob("tmp*")), "its file had no name"


def test_an_object_beyond_the_limit_is_refused_by_name_and_the_next_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Receiving(tmp_path, room=Room(tmp_path, 6_000_000)) as receiving, associated(receiving.port) as sender:
        for number, length, status in ((1, 9_000_000, 0xC000), (2, 5_500_000, 0), (3, 1000, 0)):
            assert status_of(sender, stored(number, context_of(sender), length, 1 << 20)) == status
        assert set(receiving.rows()) == {"2.25.2", "2.25.3"}
    assert "instance from CT1 refused: it is larger than 0.006 GB (receiver.max_object_gb)" in caplog.text


def pdata(fragment: bytes, context: int = 1) -> bytes:
    item = struct.pack(">LB", len(fragment) + 1, context) + fragment
    return b"\4\0" + struct.pack(">L", len(item)) + item


NESTED = b"\0\0\2\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff\0\0\2\0\xff\xff\xff\xff" * 2500


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(pdata(b"\3" + bytes(12)), id="no command"),
        pytest.param(pdata(b"\3" + NESTED), id="a command nested without end"),
        pytest.param(pdata(b"\1" + bytes(100_000)), id="a command that is too long"),
        pytest.param(pdata(b""), id="an empty fragment"),
        pytest.param(pdata(b"\0" + bytes(1000), context=99), id="a context that nobody accepted"),
        pytest.param(pdata(b"\0" + bytes(15 << 20)) * 2, id="data without a command"),
        pytest.param(b"\x99\0" + bytes(4) + b"\4\0" + struct.pack(">L", 800_000_000), id="an unknown PDU, a long one"),
        pytest.param(b"\7\0" + struct.pack(">L", 4_000_000), id="a long abort"),
    ],
)
def test_what_is_no_message_ends_its_association_alone(tmp_path: Path, said: bytes) -> None:
    with Receiving(tmp_path) as receiving, associated(receiving.port) as association:
        before, threads = psutil.Process().memory_info().rss, threading.active_count()
        with suppress(OSError):
            raw(association).sendall(said)
        wait_until(lambda: association.is_aborted, 10)
        assert psutil.Process().memory_info().rss - before < 150e6
        assert echo(receiving.node) is None
        wait_until(lambda: threading.active_count() < threads, 10)


def test_who_has_released_is_not_waited_for(tmp_path: Path) -> None:
    """A PDU that never ends behind the release holds no place."""
    with Receiving(tmp_path, calls={"max_associations": 2}) as receiving, ExitStack() as crowd:
        release = b"\5\0" + struct.pack(">L", 4) + bytes(4)
        for _ in range(6):
            association = crowd.enter_context(associated(receiving.port))
            if association.is_established:
                raw(association).sendall(release + b"\4\0" + struct.pack(">L", 100_000))
        wait_until(lambda: echo(receiving.node) is None, 10)


def test_who_is_idle_gives_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "GIVES_WAY_AFTER_S", 1.0)
    calls = {"max_associations": 2, "max_associations_each": 2}
    with Receiving(tmp_path, calls=calls) as receiving, ExitStack() as held:
        idle = [held.enter_context(associated(receiving.port, "CT2", "127.0.0.2")) for _ in range(2)]
        assert all(one.is_established for one in idle)
        assert echo(receiving.node) == "association rejected: Local limit exceeded"
        time.sleep(1.5)
        assert echo(receiving.node) is None
        wait_until(lambda: sum(one.is_aborted for one in idle) == 1, 5)


def test_only_one_gives_way_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where both the places of its address and all places are taken."""
    monkeypatch.setattr(callers, "GIVES_WAY_AFTER_S", 0.5)
    calls = {"max_associations": 2, "max_associations_each": 1}
    with Receiving(tmp_path, calls=calls) as receiving, ExitStack() as held:
        other, own = (held.enter_context(associated(receiving.port, "CT", f"127.0.0.{last}")) for last in (2, 1))
        time.sleep(1)
        assert echo(receiving.node) is None
        wait_until(lambda: own.is_aborted, 5)
        assert other.is_established


def test_reports_are_answered_a_few_at_a_time(tmp_path: Path) -> None:
    going, go = list[int](), threading.Event()

    def slow(_calling_ae: str, _report: Report) -> bool:
        going.append(1)
        return go.wait(20)

    with Receiving(tmp_path, on_report=slow) as receiving:
        ae = AE("PACS")
        ae.add_requested_context(StorageCommitmentPushModel)
        role = build_role(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        association = ae.associate("127.0.0.1", receiving.port, ext_neg=[role])
        assert association.is_established
        sending = threading.Thread(target=report_often, args=(association, 200), daemon=True)
        before = threading.active_count()
        sending.start()
        time.sleep(2)
        assert 0 < len(going) <= 3
        assert threading.active_count() < before + 8
        go.set()
        association.abort()


def report_often(association: Association, count: int) -> None:
    """Commitment reports one after the other, without waiting for an answer."""
    information = Dataset()
    kept = Dataset()
    kept.ReferencedSOPClassUID, kept.ReferencedSOPInstanceUID = CTImageStorage, "2.25.1"
    information.TransactionUID, information.ReferencedSOPSequence = "2.25.7", [kept]
    encoded = encode(information, True, True)
    assert encoded is not None
    context = association.accepted_contexts[0]
    assert context.context_id is not None
    with suppress(OSError):
        for number in range(count):
            report, message = N_EVENT_REPORT(), N_EVENT_REPORT_RQ()
            report.MessageID, report.EventTypeID, report.EventInformation = number + 1, 1, BytesIO(encoded)
            report.AffectedSOPClassUID, report.AffectedSOPInstanceUID = StorageCommitmentPushModel, "2.25.8"
            message.primitive_to_message(report)
            for part in message.encode_msg(context.context_id, 0):
                pdu = P_DATA_TF()
                pdu.from_primitive(part)
                raw(association).sendall(pdu.encode())


def test_objects_that_come_leave_the_disk_its_reserve(tmp_path: Path) -> None:
    room = Room(tmp_path, 2 << 30, reserve=1e18)
    with Receiving(tmp_path, room=room) as receiving, associated(receiving.port) as association:
        assert status_of(association, stored(1, context_of(association), 9_000_000, 1 << 20)) == 0xA700
        assert status_of(association, stored(2, context_of(association))) == 0
        assert set(receiving.rows()) == {"2.25.2"}


def test_who_is_answered_gives_no_place_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the disk takes: else each that waits for it would make room for one more that does."""
    monkeypatch.setattr(callers, "GIVES_WAY_AFTER_S", 0.5)
    go = threading.Event()
    monkeypatch.setattr(Inbox, "take", lambda _self, _arrival: go.wait(20))
    calls = {"max_associations": 1}
    with Receiving(tmp_path, calls=calls) as receiving, associated(receiving.port) as association:
        for pdu in stored(1, context_of(association)):
            raw(association).sendall(pdu)
        time.sleep(1.5)
        assert echo(receiving.node) == "association rejected: Local limit exceeded"
        assert association.is_established
        go.set()
        wait_until(lambda: echo(receiving.node) is None, 10)


def test_a_pdu_without_content_is_one(tmp_path: Path) -> None:
    with Receiving(tmp_path) as receiving, associated(receiving.port) as association:
        assert status_of(association, [b"\4\0" + bytes(4), *stored(1, context_of(association))]) == 0
        assert set(receiving.rows()) == {"2.25.1"}
