"""What a broken sender sends, over real associations: an answer by name, and the next image is taken."""

import threading
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from socket import SHUT_WR, create_connection
from typing import Any

import pytest
from helpers import make_ct
from helpers.dicom_peers import wait_until
from helpers.receiving import Receiving
from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from service.network.answers import StoreAnswer

pytestmark = pytest.mark.peers

LONG = "1.2.826.0.1." + "7" * 58


def encoded(dataset: Dataset) -> bytes:
    """The dataset alone, as it goes over the network."""
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=False)
    return stream.getvalue()


class Sender:
    """One association, whose requests and datasets are spoiled on the way."""

    def __init__(self, receiver: Receiving) -> None:
        self.spoil_request: Callable[[Dataset], None] = lambda command: None
        self.spoil_dataset: Callable[[bytes], bytes] = lambda content: content
        ae = AE("CT1")
        ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        ae.dimse_timeout = 10
        handlers: list[Any] = [(evt.EVT_DIMSE_SENT, self._spoil)]
        self._association = ae.associate("127.0.0.1", receiver.port, ae_title=receiver.AET, evt_handlers=handlers)
        assert self._association.is_established

    def send(self, dataset: Dataset) -> int | None:
        """The status of the answer, None without one."""
        answer: int | None = self._association.send_c_store(dataset).get("Status")
        return answer

    def release(self) -> None:
        assert self._association.is_established, "the association went on"
        self._association.release()

    def _spoil(self, event: evt.Event) -> None:
        message = event.message
        self.spoil_request(message.command_set)
        message._set_command_group_length()
        message.data_set = BytesIO(self.spoil_dataset(message.data_set.getvalue()))


def long_uid(command: Dataset) -> None:
    command.AffectedSOPInstanceUID = LONG


def empty_uid(command: Dataset) -> None:
    command.AffectedSOPInstanceUID = ""


def unknown_priority(command: Dataset) -> None:
    command.Priority = 9


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (long_uid, "AffectedSOPInstanceUID of 70 characters"),
        (empty_uid, "AffectedSOPInstanceUID of 0 characters"),
        (unknown_priority, "a parameter is invalid"),
    ],
)
def test_a_malformed_request_is_answered_and_the_next_image_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Dataset], None], says: str
) -> None:
    first, second = make_ct.make(slices=2).datasets
    with Receiving(tmp_path) as receiver:
        sender = Sender(receiver)
        sender.spoil_request = spoil
        assert sender.send(first) == StoreAnswer.DOES_NOT_MATCH
        sender.spoil_request = lambda command: None
        assert sender.send(second) == 0x0000
        sender.release()
        assert set(receiver.rows()) == {second.SOPInstanceUID}
        assert receiver.counts.statuses == [StoreAnswer.DOES_NOT_MATCH, 0x0000]
    assert f"instance from CT1 refused: the C-STORE request itself is malformed ({says})" in caplog.text


def nested(content: bytes, depth: int = 500) -> bytes:
    """A private sequence within a sequence within a sequence, before everything else, explicit VR."""
    start = b"\x01\x00\x01\x00SQ\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return start * depth + end * depth + content


def test_malformed_datasets_are_no_full_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    damaged: list[Callable[[bytes], bytes]] = [
        nested,
        lambda content: content[:300],
        lambda content: b"\x01\x00\x01\x00SQ\x00\x00\xff\xff\xff\xff",  # pydicom: OSError, "No tag to read"
        lambda content: content.replace(b"\x08\x00\x60\x00CS", b"\x08\x00\x60\x00SQ"),
        lambda content: b"\0" * 100,
    ]
    *bad, good = make_ct.make(slices=len(damaged) + 1).datasets
    with Receiving(tmp_path) as receiver:
        sender = Sender(receiver)
        for spoil, dataset in zip(damaged, bad, strict=True):
            sender.spoil_dataset = spoil
            assert sender.send(dataset) == StoreAnswer.DOES_NOT_MATCH
        sender.spoil_dataset = lambda content: content
        assert sender.send(good) == 0x0000
        sender.release()
    assert "images are refused" not in caplog.text
    assert "images are kept again" not in caplog.text


def said_by_a_sender(receiver: Receiving) -> list[bytes]:
    """The PDUs of an echo and a release, as a sound sender says them one after the other."""
    said: list[bytes] = []
    ae = AE("CT1")
    ae.add_requested_context(Verification)
    handlers: list[Any] = [(evt.EVT_DATA_SENT, lambda event: said.append(event.data))]
    association = ae.associate("127.0.0.1", receiver.port, ae_title=receiver.AET, evt_handlers=handlers)
    association.send_c_echo()
    association.release()
    return said


def hears(receiver: Receiving, said: bytes) -> list[int]:
    """The types of the PDUs that answer what is said at once, until the receiver hangs up."""
    heard = b""
    with create_connection(("127.0.0.1", receiver.port), 20) as connection:
        connection.sendall(said)
        connection.shutdown(SHUT_WR)
        with suppress(ConnectionResetError):
            while piece := connection.recv(4096):
                heard += piece
    types = []
    while heard:
        types.append(heard[0])
        heard = heard[6 + int.from_bytes(heard[2:6], "big") :]
    return types


def test_who_does_not_wait_for_the_acceptance_is_heard(tmp_path: Path) -> None:
    with Receiving(tmp_path) as receiver:
        assert hears(receiver, b"".join(said_by_a_sender(receiver))) == [0x02, 0x04, 0x06]


def test_an_answer_for_which_it_is_too_late_ends_no_thread_and_is_not_tried_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An A-ASSOCIATE-AC comes before an echo is answered: the association has been aborted when the answer is ready."""
    ended: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda why: ended.append(why.exc_type.__name__))
    with Receiving(tmp_path) as receiver:
        request, echo, release = said_by_a_sender(receiver)
        for _ in range(20):
            assert hears(receiver, request + echo + b"\x02" + request[1:] + release)[-1] == 0x07
        wait_until(lambda: not any("run_reactor" in thread.name for thread in threading.enumerate()), 20)
    assert ended == []
