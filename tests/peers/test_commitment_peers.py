"""Storage commitment and C-FIND with real archives: Orthanc, DCMTK's dcmqrscp and storescp."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from helpers import make_ct
from helpers.dicom_peers import Orthanc, QueryScp, StoreScp, free_port, wait_until
from helpers.receiving import Receiving
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, MRImageStorage, generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu import P_DATA_TF

from service.domain.commitment import OnReport, Reference, Report
from service.network.commitment import answer_report, request
from service.network.dimse import STORAGE_COMMITMENT
from service.network.find import find_instances
from service.network.peer import DicomNode, echo
from service.network.send import send

pytestmark = pytest.mark.peers

INSTANCE = "1.2.840.10008.1.20.1.1"
NOWHERE = "1.2.826.0.1.404"


@dataclass
class Kept:
    """Keeps reports as `Receiver.on_report` should, or fails to: outcome is returned, or raised."""

    outcome: bool | Exception = True
    reports: list[tuple[str, Report]] = field(default_factory=list)

    def __call__(self, calling_ae: str, report: Report) -> bool:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        self.reports.append((calling_ae, report))
        return self.outcome

    def of(self, transaction_uid: str) -> Report:
        """The report of a transaction, when it has come."""
        calling_ae, report = wait_until(
            lambda: next((r for r in self.reports if r[1].transaction_uid == transaction_uid), None)
        )
        assert calling_ae == Orthanc.AET
        return report  # type: ignore[no-any-return]


@dataclass
class Exchange:
    """Orthanc, which holds the CT, and our receiver, where it reports to."""

    pacs: DicomNode
    kept: Kept
    paths: Sequence[Path]
    references: Sequence[Reference]
    study_uid: str


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_ct.write(make_ct.make(slices=3).datasets, tmp_path_factory.mktemp("phantom"))


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory, phantom: list[Path]) -> Iterator[Exchange]:
    port, kept = free_port(), Kept()
    us = {"AET": "THORACLE", "Host": "127.0.0.1", "Port": port, "AllowStorageCommitment": True}
    with (
        Receiving(tmp_path_factory.mktemp("data"), port, on_report=kept),
        Orthanc(tmp_path_factory.mktemp("orthanc"), DicomModalities={"us": us}) as orthanc,
    ):
        pacs = node(orthanc.port, Orthanc.AET)
        send(pacs, phantom)
        headers = [dcmread(path, stop_before_pixels=True) for path in phantom]
        references = [Reference(h.SOPClassUID, h.SOPInstanceUID) for h in headers]
        yield Exchange(pacs, kept, phantom, references, headers[0].StudyInstanceUID)


def node(port: int, ae_title: str = "PACS") -> DicomNode:
    return DicomNode("pacs", ae_title, "127.0.0.1", port, "THORACLE")


@pytest.mark.conformance("air/commitment")
def test_orthanc_commits_what_it_has(exchange: Exchange) -> None:
    transaction = generate_uid()
    asked = request(exchange.pacs, transaction, exchange.references, listen_s=0)
    assert (asked.accepted, asked.unsupported, asked.message) == (True, False, "accepted")
    uids = frozenset(reference.sop_instance_uid for reference in exchange.references)
    assert exchange.kept.of(transaction) == Report(transaction, uids, {})


def test_orthanc_names_what_it_does_not_keep_and_why(exchange: Exchange) -> None:
    transaction = generate_uid()
    there, other, _ = exchange.references
    references = [there, Reference(MRImageStorage, other.sop_instance_uid), Reference(CTImageStorage, NOWHERE)]
    assert request(exchange.pacs, transaction, references, listen_s=0).accepted
    report = exchange.kept.of(transaction)
    assert report.committed == {there.sop_instance_uid}
    assert report.failed == {other.sop_instance_uid: 0x0119, NOWHERE: 0x0112}


def test_a_peer_that_is_down_or_rejects_us_may_come_back(exchange: Exchange) -> None:
    nobody = free_port()
    asked = request(node(nobody), generate_uid(), exchange.references)
    assert (asked.accepted, asked.unsupported) == (False, False)
    assert asked.message == f"no connection to 127.0.0.1:{nobody}: Connection refused"
    asked = request(node(exchange.pacs.port, "WRONG"), generate_uid(), exchange.references)
    assert (asked.accepted, asked.unsupported) == (False, False)


def test_a_peer_without_storage_commitment_is_named(exchange: Exchange, tmp_path: Path) -> None:
    with StoreScp(tmp_path) as pacs:
        asked = request(node(pacs.port), generate_uid(), exchange.references)
    assert (asked.accepted, asked.unsupported, asked.message) == (False, True, "no presentation context was accepted")


@pytest.mark.parametrize(
    ("status", "unsupported"), [(0x0122, True), (0x0123, True), (0x0110, False), (0x0131, False), (0x0213, False)]
)
def test_a_refused_question_is_worth_another_one_or_not(exchange: Exchange, status: int, unsupported: bool) -> None:
    with committing(status=status) as pacs:
        asked = request(pacs, generate_uid(), exchange.references)
    assert (asked.accepted, asked.unsupported) == (False, unsupported)
    assert asked.message.startswith(f"N-ACTION status 0x{status:04X}")


def test_a_question_that_is_not_answered_is_worth_another_one(exchange: Exchange) -> None:
    with committing(status=None) as pacs:
        asked = request(pacs, generate_uid(), exchange.references)
    assert (asked.accepted, asked.unsupported, asked.message) == (False, False, "no answer to N-ACTION")


def test_the_report_may_come_on_the_same_association(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(event: evt.Event, on_report: OnReport) -> tuple[int, None]:
        status = answer_report(event, on_report)
        time.sleep(0.2)
        return status

    monkeypatch.setattr("service.network.commitment.answer_report", slowly)
    transaction, answers = generate_uid(), []
    with committing(after=lambda assoc: answers.append(report_on(assoc, result(transaction)))) as pacs:
        began = time.monotonic()
        asked = request(pacs, transaction, exchange.references, listen_s=20)
        assert time.monotonic() - began < 10, "what has come is not waited for"
        wait_until(lambda: answers)
    assert asked.accepted
    assert asked.report == Report(transaction, frozenset({"1.2.3"}), {"1.2.4": 0x0112})
    assert answers == [0x0000], "the release did not overtake the response"


def test_a_report_that_comes_while_we_hang_up_is_not_lost(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    transaction, answers = generate_uid(), []
    release = Association.release

    def late(association: Association) -> None:
        wait_until(lambda: answers)
        release(association)

    with (
        committing(after=lambda assoc: answers.append(report_on(assoc, result(transaction)))) as pacs,
        monkeypatch.context() as m,
    ):
        m.setattr(Association, "release", late)
        asked = request(pacs, transaction, exchange.references, listen_s=0)
    assert answers == [0x0000]
    assert asked.report is not None


def test_the_report_may_come_before_the_answer(exchange: Exchange) -> None:
    transaction, answers = generate_uid(), []
    with committing(before=lambda assoc: answers.append(report_on(assoc, result(transaction)))) as pacs:
        asked = request(pacs, transaction, exchange.references, listen_s=0)
    assert (asked.accepted, answers) == (True, [0x0000])
    assert asked.report is not None


def test_another_transactions_report_is_not_taken_for_ours(exchange: Exchange) -> None:
    answers: list[int | None] = []
    with committing(after=lambda assoc: answers.append(report_on(assoc, result(generate_uid())))) as pacs:
        asked = request(pacs, generate_uid(), exchange.references, listen_s=1)
    assert (asked.accepted, asked.report, answers) == (True, None, [0x0115])


def test_a_peer_that_hangs_up_is_not_listened_to(exchange: Exchange) -> None:
    with committing(after=lambda assoc: assoc.release()) as pacs:
        began = time.monotonic()
        asked = request(pacs, generate_uid(), exchange.references, listen_s=20)
        assert time.monotonic() - began < 10
    assert (asked.accepted, asked.report) == (True, None)


def test_archives_say_which_instances_they_have(exchange: Exchange, tmp_path: Path) -> None:
    uids = [reference.sop_instance_uid for reference in exchange.references]
    assert find_instances(exchange.pacs, exchange.study_uid, [*uids[:2], NOWHERE]) == frozenset(uids[:2])
    assert find_instances(exchange.pacs, NOWHERE, uids) == frozenset()
    with QueryScp(tmp_path) as archive:
        pacs = node(archive.port, QueryScp.AET)
        send(pacs, exchange.paths[1:])
        assert find_instances(pacs, exchange.study_uid, [*uids[:2], NOWHERE]) == {uids[1]}
        assert find_instances(pacs, exchange.study_uid, uids) == frozenset(uids[1:])
        assert find_instances(pacs, NOWHERE, uids) == frozenset()


def test_what_a_peer_does_not_say_is_not_known(exchange: Exchange, tmp_path: Path) -> None:
    assert find_instances(node(free_port()), exchange.study_uid, [NOWHERE]) is None
    with StoreScp(tmp_path) as pacs:
        assert find_instances(node(pacs.port), exchange.study_uid, [NOWHERE]) is None


def no_object(information: Dataset) -> None:
    del information.ReferencedSOPSequence, information.FailedSOPSequence


def no_transaction(information: Dataset) -> None:
    del information.TransactionUID


def two_transactions(information: Dataset) -> None:
    information.TransactionUID = ["1.2", "1.3"]


def no_reason(information: Dataset) -> None:
    del information.FailedSOPSequence[0].FailureReason


def contradiction(information: Dataset) -> None:
    information.FailedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def broken_sequence(information: Dataset) -> None:
    """Its only item ends in the middle."""
    tag = Tag("FailedSOPSequence")
    information[tag] = RawDataElement(tag, "OB", 12, b"\xfe\xff\x00\xe0\xff\x00\x00\x00abcd", 0, True, True)


@pytest.mark.conformance("report-answers/0115")
@pytest.mark.parametrize(
    "spoil", [no_object, no_transaction, two_transactions, no_reason, contradiction, broken_sequence]
)
def test_a_malformed_report_is_invalid_for_good(tmp_path: Path, spoil: Callable[[Dataset], None]) -> None:
    kept, information = Kept(), result(generate_uid())
    spoil(information)
    with Receiving(tmp_path, on_report=kept) as receiver, reporting(receiver.node) as association:
        assert report_on(association, information) == 0x0115
        assert report_on(association, None) == 0x0115
        assert report_on(association, result("1.2.9")) == 0x0000, "the association lives on"
    assert [report.transaction_uid for _, report in kept.reports] == ["1.2.9"]


@pytest.mark.conformance("report-answers/0000", "report-answers/0110")
@pytest.mark.parametrize(
    ("outcome", "status"),
    [(True, 0x0000), (False, 0x0115), (OSError("the database is away"), 0x0110), (RuntimeError("bug"), 0x0110)],
)
def test_a_report_is_answered_by_what_became_of_it(tmp_path: Path, outcome: bool | Exception, status: int) -> None:
    with Receiving(tmp_path, on_report=Kept(outcome)) as receiver, reporting(receiver.node) as association:
        assert report_on(association, result(generate_uid())) == status
        assert echo(receiver.node) is None


@pytest.mark.conformance("report-answers/0113", "report-answers/0118")
def test_other_events_and_classes_are_refused_by_name(tmp_path: Path) -> None:
    with Receiving(tmp_path, on_report=Kept()) as receiver, reporting(receiver.node) as association:
        assert report_on(association, result(generate_uid()), event_type=3) == 0x0113
        printer = "1.2.840.10008.5.1.1.16"
        answer, _ = association.send_n_event_report(
            result(generate_uid()), 1, printer, INSTANCE, meta_uid=STORAGE_COMMITMENT
        )
        assert answer.Status == 0x0118


@pytest.mark.conformance("accepted-contexts/Storage Commitment Push Model")
def test_the_peer_that_reports_is_told_that_it_is_the_scp(tmp_path: Path) -> None:
    with Receiving(tmp_path, on_report=Kept()) as receiver, reporting(receiver.node) as association:
        role = association.acceptor.role_selection[STORAGE_COMMITMENT]
        assert (role.scu_role, role.scp_role) == (False, True)


def test_a_peer_may_report_without_role_selection(tmp_path: Path) -> None:
    """Against PS3.4 J.3.3 but usual."""
    with Receiving(tmp_path, on_report=Kept()) as receiver, reporting(receiver.node, roles=False) as association:
        association.accepted_contexts[0]._as_scp = True  # else pynetdicom refuses to report so
        assert report_on(association, result(generate_uid())) == 0x0000


def test_nobody_who_keeps_reports_no_context(tmp_path: Path) -> None:
    with Receiving(tmp_path) as receiver, reporting(receiver.node) as association:
        assert not association.is_established


def result(transaction_uid: str) -> Dataset:
    """Event Information (PS3.4 table J.3-2): one committed, one failed."""
    committed, failed = Dataset(), Dataset()
    for item, uid in ((committed, "1.2.3"), (failed, "1.2.4")):
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, uid
    failed.FailureReason = 0x0112
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence, information.FailedSOPSequence = Items([committed]), Items([failed])
    return information


def report_on(association, information: Dataset | None, event_type: int = 2) -> int | None:  # type: ignore[no-untyped-def]
    """N-EVENT-REPORT: the status of the response, None without one."""
    answer, _ = association.send_n_event_report(information, event_type, STORAGE_COMMITMENT, INSTANCE)
    return answer.get("Status")


@contextmanager
def reporting(receiver: DicomNode, roles: bool = True):  # type: ignore[no-untyped-def]
    """The association of a PACS that is going to report, as the SCP (PS3.7 D.3.3.4)."""
    ae = AE(Orthanc.AET)
    ae.add_requested_context(STORAGE_COMMITMENT)
    negotiation = [build_role(STORAGE_COMMITMENT, scp_role=True)] if roles else []
    association = ae.associate(receiver.host, receiver.port, ae_title=receiver.ae_title, ext_neg=negotiation)
    try:
        yield association
    finally:
        association.release()


@contextmanager
def committing(before=None, after=None, status: int | None = 0x0000):  # type: ignore[no-untyped-def]
    """A PACS that does `before(association)`, answers N-ACTION with `status` (None: aborts), and does `after`.

    Orthanc never reports on the association of the question.
    """
    ae, answered = AE("PACS"), threading.Event()
    ae.add_supported_context(STORAGE_COMMITMENT)

    def asked(event: evt.Event) -> tuple[int, None]:
        if status is None:
            event.assoc.abort()
            return 0, None
        if before is not None:
            before(event.assoc)
        answered.set()
        return status, None

    def sent(event: evt.Event) -> None:
        if after is not None and answered.is_set() and isinstance(event.pdu, P_DATA_TF):
            answered.clear()
            threading.Thread(target=after, args=[event.assoc]).start()

    handlers = [(evt.EVT_N_ACTION, asked), (evt.EVT_PDU_SENT, sent)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield node(server.server_address[1])
    finally:
        server.shutdown()
        ae.shutdown()
