"""Storage Commitment Push Model (PS3.4 Annex J): we ask by N-ACTION, the peer answers by N-EVENT-REPORT.

The answer comes on the association of the question or, later, on one of the peer's own to our receiver.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_role

from service.domain.commitment import OnReport, Reference, Report
from service.network.answers import ReportAnswer
from service.network.dimse import STORAGE_COMMITMENT, UNPARSABLE, asked
from service.network.peer import DicomNode, NoAssociation, associate
from service.network.status import in_words

log = logging.getLogger(__name__)

_WELL_KNOWN_INSTANCE = UID("1.2.840.10008.1.20.1.1")
_REQUEST_COMMITMENT = 1
_EVENTS = (1, 2)  # all are committed, failures exist (PS3.4 J.3.3.1)

_SUCCESS = 0x0000
NO_COMMITMENT = (0x0118, 0x0122, 0x0123, 0x0211)
"""No such SOP class, not supported, no such action, no such operation: asking again is no use."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a question. accepted: the peer will report; report: it did so at once.

    unsupported: the peer knows no storage commitment, asking again is no use. message: in words.
    """

    accepted: bool
    message: str
    unsupported: bool = False
    report: Report | None = None


class Malformed(ValueError):
    """The Event Information is no storage commitment result; the text is safe to log."""


def request(node: DicomNode, transaction_uid: str, references: Sequence[Reference], listen_s: float = 2.0) -> Asked:
    """Ask a peer to keep objects (PS3.4 J.3.2), and wait up to `listen_s` for its report on the same association.

    Record the transaction first: the report may reach our receiver before this returns. No network error is raised.
    """
    listener = _Listener(transaction_uid)
    try:
        association = associate(node, [asked(STORAGE_COMMITMENT)], listener.handlers)
    except NoAssociation as none:
        return Asked(False, str(none), unsupported=none.no_context)
    try:
        status = _ask(association, _action_information(transaction_uid, references))
        if status == _SUCCESS:
            listener.wait(listen_s)
    except (RuntimeError, ValueError) as error:  # the peer ended the association, or a UID cannot be encoded
        return Asked(False, f"not asked ({type(error).__name__})")
    finally:
        association.release()
    # Only now: until the release a report may come and be answered.
    if status == _SUCCESS:
        return Asked(True, "accepted", report=listener.report)
    message = "no answer to N-ACTION" if status is None else f"N-ACTION {in_words(status)}"
    return Asked(False, message, unsupported=status in NO_COMMITMENT, report=listener.report)


def accept_role(event: evt.Event) -> None:
    """EVT_REQUESTED: who reports is the SCP, although it calls us (PS3.7 D.3.3.4).

    Said here because pynetdicom 3.0 leaves the answer out where every storage SOP class is accepted; some PACS report
    nothing without it.
    """
    proposed = event.assoc.requestor.role_selection.get(STORAGE_COMMITMENT)
    if proposed is not None and proposed.scp_role:
        event.assoc.acceptor.add_negotiation_item(build_role(STORAGE_COMMITMENT, scp_role=True))


def answer_report(event: evt.Event, on_report: OnReport) -> tuple[ReportAnswer, None]:
    """EVT_N_EVENT_REPORT: the status of the response (PS3.7 10.1.1.1.8); 0x0000 only when `on_report` kept the report.

    0x0110 after a failure of ours: the peer may report again. A report that nobody asked for, and one that cannot be
    read, are invalid for good.
    """
    message, calling_ae = event.request, event.assoc.requestor.ae_title
    assert isinstance(message, N_EVENT_REPORT)
    if message.AffectedSOPClassUID != STORAGE_COMMITMENT:
        return ReportAnswer.NO_SUCH_SOP_CLASS, None
    if message.EventTypeID not in _EVENTS:
        return ReportAnswer.NO_SUCH_EVENT_TYPE, None
    try:
        if on_report(calling_ae, _report(event)):
            return ReportAnswer.SUCCESS, None
        log.warning("storage commitment report, calling AE %s: unknown transaction", calling_ae)
    except Malformed as error:
        log.warning("storage commitment report, calling AE %s: %s", calling_ae, error)
    except OSError as error:
        log.error("storage commitment report, calling AE %s not kept: %s", calling_ae, error.strerror or error)
        return ReportAnswer.PROCESSING_FAILURE, None
    return ReportAnswer.INVALID_ARGUMENT, None


class _Listener:
    """Takes the report of one transaction on the association that asked for it."""

    def __init__(self, transaction_uid: str) -> None:
        self.report: Report | None = None
        self._transaction_uid = transaction_uid
        self._ended = Event()

    @property
    def handlers(self) -> Sequence[evt.EventHandlerType]:
        return [
            (evt.EVT_N_EVENT_REPORT, answer_report, [self._take]),
            (evt.EVT_PDU_SENT, self._after),
            (evt.EVT_CONN_CLOSE, lambda _: self._ended.set()),
        ]

    def wait(self, seconds: float) -> None:
        """Until the report is answered, the peer has ended the association, or the time is over."""
        self._ended.wait(seconds)

    def _take(self, _calling_ae: str, report: Report) -> bool:
        if report.transaction_uid != self._transaction_uid:
            return False
        self.report = report
        return True

    def _after(self, event: evt.Event) -> None:
        """A release must not overtake the response."""
        if self.report is not None and isinstance(event.pdu, P_DATA_TF):
            self._ended.set()


def _ask(association: Association, information: Dataset) -> int | None:
    """N-ACTION: the status of the response, None without one."""
    answer, _ = association.send_n_action(information, _REQUEST_COMMITMENT, STORAGE_COMMITMENT, _WELL_KNOWN_INSTANCE)
    status: int | None = answer.get("Status")
    return status


def _action_information(transaction_uid: str, references: Sequence[Reference]) -> Dataset:
    """PS3.4 table J.3-1."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = [_item(reference) for reference in references]
    return information


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _report(event: evt.Event) -> Report:
    """PS3.4 table J.3-2; Malformed where it says not everything, or of one object both."""
    try:
        information = event.event_information
        committed = frozenset(_uid(item, "ReferencedSOPInstanceUID") for item in _items(information, "ReferencedSOP"))
        failed = {
            _uid(item, "ReferencedSOPInstanceUID"): int(item.FailureReason) for item in _items(information, "FailedSOP")
        }
        report = Report(_uid(information, "TransactionUID"), committed, failed)
    except UNPARSABLE as error:
        raise Malformed(f"it cannot be read ({type(error).__name__})") from error
    if committed & failed.keys() or not committed | failed.keys():
        raise Malformed("it names no object, or one as committed and failed")
    return report


def _items(information: Dataset, sequence: str) -> Iterator[Dataset]:
    yield from information.get(f"{sequence}Sequence") or ()


def _uid(dataset: Dataset, keyword: str) -> str:
    """AttributeError if it is absent, ValueError if it is empty or several."""
    value = getattr(dataset, keyword)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{keyword} is no single UID")
    return str(value)
