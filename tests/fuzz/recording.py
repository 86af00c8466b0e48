"""Associations of real senders as they went over the wire: recorded by a proxy before a receiver."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers import make_ct
from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.sop_class import CTImageStorage, StorageCommitmentPushModel, Verification

from service.network.peer import DicomNode, echo
from service.network.send import send

Pdus = tuple[bytes, ...]


def recorded(port: int, ae_title: str, folder: Path) -> list[Pdus]:
    """What senders say in a few associations with the receiver at a port, PDU by PDU."""
    files = make_ct.write(make_ct.make(slices=3, rows=24, columns=32, pixel_mm=(12.0, 12.0)).datasets, folder)
    said: list[bytes] = []
    with _proxy(port, said) as there:
        node = DicomNode("receiver", ae_title, "127.0.0.1", there, "CT1")
        calls: list[Callable[[], object]] = [
            lambda: echo(node),
            lambda: send(node, files),
            lambda: _talkative(there, ae_title, files[0]),
            lambda: _reporting(there, ae_title),
        ]
        found = []
        for call in calls:
            said.clear()
            call()
            found.append(tuple(pdus(b"".join(said))))
    return found


def pdus(stream: bytes) -> Iterator[bytes]:
    """The PDUs of a stream (PS3.8 9.3.1): type, one byte, length, rest."""
    while stream:
        end = 6 + int.from_bytes(stream[2:6], "big")
        yield stream[:end]
        stream = stream[end:]


def _talkative(port: int, ae_title: str, file: Path) -> None:
    """A sender that negotiates whatever can be negotiated."""
    ae = AE("CT2")
    for syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        ae.add_requested_context(CTImageStorage, syntax)
    ae.add_requested_context(Verification)
    window, extended, identity = (
        AsynchronousOperationsWindowNegotiation(),
        SOPClassExtendedNegotiation(),
        UserIdentityNegotiation(),
    )
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 5
    extended.sop_class_uid, extended.service_class_application_information = CTImageStorage, b"\x02\x00\x03\x00\x01\x00"
    identity.user_identity_type, identity.primary_field, identity.secondary_field = 2, b"ada", b"secret"
    items = [window, extended, identity, build_role(CTImageStorage, scu_role=True, scp_role=True)]
    association = _associated(ae, port, ae_title, items)
    image = dcmread(file)
    image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    image.save_as(file, implicit_vr=True, little_endian=True)
    association.send_c_store(file)
    association.send_c_echo()
    association.release()


def _reporting(port: int, ae_title: str) -> None:
    """An archive that reports what it keeps."""
    ae = AE("PACS")
    ae.add_requested_context(StorageCommitmentPushModel)
    association = _associated(ae, port, ae_title, [build_role(StorageCommitmentPushModel, scp_role=True)])
    information = Dataset()
    information.TransactionUID = "2.25.1"
    information.ReferencedSOPSequence = [Dataset()]
    association.send_n_event_report(information, 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1")
    association.release()


def _associated(ae: AE, port: int, ae_title: str, items: list[object]) -> Association:
    association = ae.associate("127.0.0.1", port, ae_title=ae_title, ext_neg=items)  # type: ignore[arg-type]
    assert association.is_established, "the receiver takes a sound association"
    return association


@contextmanager
def _proxy(port: int, said: list[bytes]) -> Iterator[int]:
    """The port of a proxy; what senders say is appended to `said`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_serve, args=(listening, port, said), daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def _serve(listening: socket.socket, port: int, said: list[bytes]) -> None:
    while True:
        try:
            sender, _ = listening.accept()
        except OSError:
            return
        receiver = socket.create_connection(("127.0.0.1", port))
        threading.Thread(target=_pump, args=(receiver, sender, []), daemon=True).start()
        _pump(sender, receiver, said)


def _pump(source: socket.socket, sink: socket.socket, said: list[bytes]) -> None:
    """Until one of them ends."""
    try:
        while piece := source.recv(65536):
            said.append(piece)
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return
