"""Rows of the conformance statement about associations, each tried with a real one."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from helpers import make_ct
from helpers.conformance import configured, tried
from helpers.receiving import Receiving
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import build_context

from service.composition.destinations import targets
from service.conformance.overview import overview
from service.conformance.receiver import contexts, receiver, rejections
from service.conformance.rows import Row, Table
from service.conformance.sample_results import FIRST, LABEL_MAP, sample_results
from service.conformance.sender import offered, proposed, questions, statuses
from service.domain.commitment import Reference
from service.evidence.context import SEG
from service.network.callers import ANYWHERE, Caller
from service.network.commitment import request
from service.network.find import find_instances
from service.network.peer import DicomNode, echo
from service.network.send import send
from service.network.status import RULES, Verdict
from service.settings import Receiver as ReceiverSettings

pytestmark = pytest.mark.peers


@dataclass
class Recorder:
    """A peer that takes everything, answers with `status`, and remembers which contexts were proposed to it."""

    status: int = 0x0000
    proposed: set[tuple[str, str]] = field(default_factory=set)
    node: DicomNode = field(init=False)

    def heard(self, event: evt.Event) -> None:
        for context in event.assoc.requestor.requested_contexts:
            self.proposed |= {(str(context.abstract_syntax), str(one)) for one in context.transfer_syntax}


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    found, ae = Recorder(), AE("PACS")
    for uid in ("1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.1.20.1"):
        ae.add_supported_context(uid)
    handlers: list[evt.EventHandlerType] = [
        (evt.EVT_REQUESTED, found.heard),
        (evt.EVT_C_STORE, lambda _: found.status),
        (evt.EVT_C_FIND, lambda _: iter([(0x0000, None)])),
        (evt.EVT_N_ACTION, lambda _: (0x0000, None)),
    ]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    found.node = DicomNode("pacs", "PACS", "127.0.0.1", server.server_address[1], "THORACLE")
    yield found
    server.shutdown()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of the sample's objects, by kind."""
    folder = tmp_path_factory.mktemp("results")
    _, objects = sample_results()[FIRST]
    for kind, dataset in objects.items():
        dataset.save_as(folder / f"{kind}.dcm")
    return {kind: folder / f"{kind}.dcm" for kind in objects}


@pytest.fixture(scope="module")
def all_proposed(recorder: Recorder, results: dict[str, Path]) -> set[tuple[str, str]]:
    """Contexts that are proposed where every object is sent and every question asked."""
    send(recorder.node, list(results.values()), convertible=True)
    assert echo(recorder.node) is None
    assert find_instances(recorder.node, "1.2.3", ["1.2.4"]) == frozenset()
    assert request(recorder.node, str(generate_uid()), [Reference("1.2", "1.3")], listen_s=0).accepted
    return set(recorder.proposed)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    with Receiving(tmp_path_factory.mktemp("ours"), on_report=lambda *_: True) as found:
        yield found


def uid_in(cell: str) -> str:
    return cell.split("(")[1].rstrip(")")


@pytest.mark.parametrize("row", tried(proposed()))
def test_results_are_proposed_as_it_says(row: Row, all_proposed: set[tuple[str, str]]) -> None:
    sop_class = uid_in(row.cells[2])
    assert {UID(one).name for uid, one in all_proposed if uid == sop_class} == set(row.cells[3].split(", "))


@pytest.mark.parametrize("row", tried(questions()))
def test_questions_are_proposed_as_it_says(row: Row, all_proposed: set[tuple[str, str]]) -> None:
    uid = uid_in(row.cells[0])
    assert {UID(one).name for sop, one in all_proposed if sop == uid} == set(row.cells[1].split(", "))


@pytest.mark.conformance("offered pacs/*")
def test_a_destination_is_offered_what_it_says(recorder: Recorder, results: dict[str, Path], tmp_path: Path) -> None:
    configured_one = configured(tmp_path).destinations["pacs"]
    here = {"host": "127.0.0.1", "port": recorder.node.port, "tls": None}
    target = targets({"pacs": configured_one.model_copy(update=here)})["pacs"]
    kinds = target.kinds | ({LABEL_MAP} if SEG in target.kinds else set())
    recorder.status, recorder.proposed = 0x0000, set()
    target.send([path for kind, path in results.items() if kind in kinds])
    found: dict[str, set[str]] = {}
    for sop_class, syntax in recorder.proposed:
        found.setdefault(sop_class, set()).add(UID(syntax).name)
    told = {uid_in(row.cells[1]): set(row.cells[2].split(", ")) for row in offered("pacs", configured_one).rows}
    assert found == told


def test_nothing_else_is_proposed(all_proposed: set[tuple[str, str]]) -> None:
    told = {uid_in(row.cells[2]) for row in proposed().rows} | {uid_in(row.cells[0]) for row in questions().rows}
    assert {uid for uid, _ in all_proposed} == told


def example(pattern: str) -> int:
    """A status that the rule is about."""
    return 0x0117 if pattern == "xxxx" else int(pattern.replace("x", "5"), 16)


@pytest.mark.parametrize("row", tried(statuses()))
def test_a_status_means_what_it_says(row: Row, recorder: Recorder, results: dict[str, Path]) -> None:
    recorder.status = example(row.key)
    [rule] = [one for one in RULES if one.pattern == row.key]
    [outcome] = send(recorder.node, [results["report-dicom"]])
    assert (outcome.status, outcome.verdict, outcome.unsupported) == (recorder.status, rule.verdict, rule.unsupported)
    words = {Verdict.STORED: "stored", Verdict.TRANSIENT: "tried again", Verdict.PERMANENT: "final"}
    assert words[outcome.verdict] in row.cells[2]


def services() -> Table:
    [found] = [one for one in overview().tables if one.name == "network-services"]
    return found


@pytest.mark.parametrize("row", tried(services()))
def test_a_service_has_the_roles_it_says(row: Row, ours: Receiving, all_proposed: set[tuple[str, str]]) -> None:
    name, scu, scp, _ = row.cells
    if row.key == "storage":
        assert accepted(ours, ["1.2.826.0.1.3680043.8.498.99", "1.2.840.10008.5.1.4.1.1.4"]) == 2
        return
    uid = uid_in(name)
    assert (uid in {one for one, _ in all_proposed}) == (scu == "yes")
    assert serves(ours, uid) == (scp == "yes")


def accepted(ours: Receiving, uids: Sequence[str]) -> int:
    ae = AE("CT1")
    association = ae.associate("127.0.0.1", ours.port, [build_context(one, ExplicitVRLittleEndian) for one in uids])
    found = len(association.accepted_contexts)
    association.release()
    return found


def serves(ours: Receiving, uid: str) -> bool:
    """Whether our receiver answers an operation of the service with success."""
    association = AE("CT1").associate("127.0.0.1", ours.port, [build_context(uid)])
    try:
        if not association.is_established:
            return False
        if "Verification" in UID(uid).name:
            return association.send_c_echo().get("Status") == 0x0000
        if "FIND" in UID(uid).name:
            query = Dataset()
            query.QueryRetrieveLevel = "STUDY"
            return any(status.get("Status") == 0x0000 for status, _ in association.send_c_find(query, uid))
        if "Commitment" in UID(uid).name:
            information = Dataset()
            information.TransactionUID = generate_uid()
            answer, _ = association.send_n_action(information, 1, uid, "1.2.840.10008.1.20.1.1")
            return answer.get("Status") == 0x0000
        [dataset] = make_ct.make(slices=1).datasets
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(uid)
        return association.send_c_store(dataset).get("Status") == 0x0000
    finally:
        association.release()


@pytest.mark.conformance("accepted-contexts/*")
def test_contexts_are_accepted_as_it_says(ours: Receiving) -> None:
    for row in contexts().rows:
        if row.key != "storage":
            uid = uid_in(row.cells[0])
            taken = {one for one in ALL_TRANSFER_SYNTAXES if takes(ours, uid, one)}
            assert taken == ({*ALL_TRANSFER_SYNTAXES} if row.cells[1] == "every one" else by_name(row.cells[1])), (
                row.key
            )


def by_name(names: str) -> set[str]:
    return {one for one in ALL_TRANSFER_SYNTAXES if UID(one).name in names.split(", ")}


def takes(ours: Receiving, uid: str, syntax: str) -> bool:
    association = AE("CT1").associate("127.0.0.1", ours.port, [build_context(uid, syntax)])
    found = bool(association.accepted_contexts)
    association.release()
    return found


def test_a_ct_is_stored_as_received_in_every_transfer_syntax(ours: Receiving) -> None:
    """Each in an association of its own; pixels of compressed ones are none: nobody decodes them here."""
    for syntax in map(UID, ALL_TRANSFER_SYNTAXES):
        [dataset] = make_ct.make(slices=1).datasets
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.file_meta.TransferSyntaxUID = syntax
        if syntax.is_encapsulated:
            dataset.PixelData = encapsulate([b"\0\1"])
        elif syntax == ExplicitVRBigEndian:
            dataset.PixelData = dataset.pixel_array.byteswap().tobytes()
        association = AE("CT1").associate("127.0.0.1", ours.port, [build_context(dataset.SOPClassUID, syntax)])
        assert association.send_c_store(dataset).get("Status") == 0x0000, syntax.name
        association.release()
        kept = dcmread(ours.path(dataset.SOPInstanceUID))
        assert kept.file_meta.TransferSyntaxUID == syntax
        assert kept.PatientID == dataset.PatientID


@pytest.mark.conformance("security-profiles/identity")
def test_a_user_identity_is_not_looked_at(ours: Receiving) -> None:
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.primary_field = 1, b"anybody"
    context = [build_context("1.2.840.10008.1.1")]
    association = AE("CT1").associate("127.0.0.1", ours.port, context, ext_neg=[identity])
    assert association.send_c_echo().get("Status") == 0x0000
    association.release()


def test_limits_are_those_of_the_settings() -> None:
    [text] = [one for one in receiver(ReceiverSettings(max_associations=7)) if isinstance(one, str) and "Up to" in one]
    assert "`receiver.max_associations` (7)" in text


@pytest.mark.conformance("rejections/*")
def test_a_request_is_rejected_as_it_says(tmp_path: Path, ours: Receiving) -> None:
    callers = {"CT1": Caller(ANYWHERE)}
    calls = {"callers": callers, "require_called_aet": True, "max_associations": 1}
    with Receiving(tmp_path, calls=calls) as receiving:
        found = {
            "calling_ae": answer(receiving, asked_for("STRANGER")),
            "called_ae": answer(receiving, asked_for("CT1", called_ae="ELSEWHERE")),
            "protocol_version": answer(ours, asked_for("CT1", version=2)),
        }
        assert answer(ours, asked_for("CT1", version=3)) == found["protocol_version"]
        with held(receiving):
            found["limit"] = answer(receiving, asked_for("CT1"))
    told = {row.key: bytes([3, 0, 0, 0, 0, 4, 0, *map(int, row.cells[:3])]) for row in rejections().rows}
    assert found == told


def test_another_application_context_name_is_accepted(ours: Receiving) -> None:
    pdu = asked_for("CT1").replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9")
    accepted_pdu = answer(ours, pdu)
    assert accepted_pdu[0] == 2 and b"1.2.840.10008.3.1.1.1" in accepted_pdu


def asked_for(calling_ae: str, called_ae: str = Receiving.AET, version: int = 1) -> bytes:
    """An A-ASSOCIATE-RQ for C-ECHO."""
    asked = A_ASSOCIATE()
    asked.application_context_name = UID("1.2.840.10008.3.1.1.1")
    asked.calling_ae_title, asked.called_ae_title = calling_ae, called_ae
    context = build_context("1.2.840.10008.1.1")
    context.context_id = 1
    asked.presentation_context_definition_list = [context]
    longest, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    longest.maximum_length_received, implementation.implementation_class_uid = 16384, UID("1.2.3")
    asked.user_information = [longest, implementation]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(asked)
    pdu.protocol_version = version
    return pdu.encode()


def answer(receiving: Receiving, pdu: bytes) -> bytes:
    """The PDU that answers a request."""
    with socket.create_connection(("127.0.0.1", receiving.port), timeout=10) as connection:
        connection.sendall(pdu)
        return connection.recv(4096)


@contextmanager
def held(receiving: Receiving) -> Iterator[None]:
    """An association that is there meanwhile."""
    association = AE("CT1").associate("127.0.0.1", receiving.port, [build_context("1.2.840.10008.1.1")], Receiving.AET)
    assert association.is_established
    yield
    association.release()
