"""The Storage SCP (PS3.4 Annex B). An instance is answered 0x0000 only when nothing can lose it any more.

Storage commitment reports (PS3.4 J.3.3), where we ask for them, come here too.
"""

import logging
import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, DEFAULT_TRANSFER_SYNTAXES, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode_file_meta

from service.domain.arrival import Arrival, Unidentified, identify
from service.domain.commitment import OnReport
from service.domain.ports import Inbox, ReceiverObserver, ReceiverReports
from service.domain.unparsable import UNPARSABLE
from service.network.acceptor import Acceptor
from service.network.admission import Admission
from service.network.answers import ReportAnswer, StoreAnswer
from service.network.bounded_association import BoundedAssociation
from service.network.bounded_socket import ANNOUNCED
from service.network.callers import Caller, Callers
from service.network.commitment import accept_role, answer_report
from service.network.dimse import STORAGE_COMMITMENT, VERIFICATION, configure, send_at_once, wait_no_longer
from service.network.door import TurnedAway
from service.network.listening_port import ListeningPort, bound_port, listen
from service.network.malformed import answer_malformed
from service.network.received import Received, Room, TooLarge
from service.network.rights import Right
from service.tls import FollowedFiles, TlsFiles

log = logging.getLogger(__name__)

IDLE_S = 120.0
"""Longest silence within an association, and within a PDU that is sent."""

_MAX_OBJECT = 2 << 30
_ANY = 1 << 30
_IN_MEMORY = Room(None, _MAX_OBJECT)
_ENDS_WITHIN_S = 5.0
_PREAMBLE = bytes(128) + b"DICM"
_CODE_STRING = re.compile("[A-Z]{2,16}")


@dataclass(frozen=True, slots=True)
class Accepted:
    """An abstract syntax that is accepted. scu_role, scp_role: which role of its own a caller may propose."""

    sop_class: UID
    transfer_syntaxes: Sequence[str]
    scu_role: bool | None = None
    scp_role: bool | None = None


ACCEPTED = (
    Accepted(VERIFICATION, ALL_TRANSFER_SYNTAXES),
    Accepted(STORAGE_COMMITMENT, DEFAULT_TRANSFER_SYNTAXES, scu_role=False, scp_role=True),
)
"""Besides storage: that of every class in the first transfer syntax that is proposed (`dimse.configure`)."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a receiver listens, under which name, and who may call.

    callers: by calling AE title; None: everybody may do everything. tls: None: without. max_associations: at once.
    max_associations_each: of one address. room: for large objects while they come.

    bound: the port, where it is bound already (`host` and `port` then do not count). processes: that take connections
    from it, each its share of the associations; one of them is this.
    """

    ae_title: str
    host: str
    port: int
    callers: Mapping[str, Caller] | None = None
    tls: TlsFiles | None = None
    require_called_aet: bool = False
    max_associations: int = 20
    max_associations_each: int = 16
    room: Room = _IN_MEMORY
    bound: socket.socket | None = None
    processes: int = 1

    def share(self, most: int) -> int:
        """How many places this process has, where all processes together have `most`."""
        return most // self.processes


class Receiver:
    """Listens from `start` to `stop`. Any number of associations run at once, up to the maximum."""

    def __init__(
        self,
        inbox: Inbox,
        observer: ReceiverObserver,
        listening: Listening,
        *,
        admission: Admission | None = None,
        on_report: OnReport | None = None,
        reports: ReceiverReports | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """admission: decides whose images are taken now; None: everybody's.

        on_report: keeps storage commitment reports; without it their SOP class is not accepted.
        reports: None: nothing is reported.
        """
        self._inbox = inbox
        self._observer = observer
        self._listening = listening
        self._admission = admission
        self._on_report = on_report
        self._room = listening.room
        self._reports = reports
        self._clock = clock
        self._trouble = ""
        self._ae = AE(listening.ae_title)
        self._ae.maximum_pdu_size = ANNOUNCED
        self._ae.maximum_associations = _ANY  # who is let in, the door says
        self._ae.network_timeout = IDLE_S
        self._callers = Callers(
            listening.callers,
            listening.ae_title if listening.require_called_aet else "",
            listening.share(listening.max_associations),
            listening.share(listening.max_associations_each),
        )
        for one in ACCEPTED:
            if one.sop_class != STORAGE_COMMITMENT or on_report is not None:
                self._ae.add_supported_context(one.sop_class, one.transfer_syntaxes, one.scu_role, one.scp_role)

    def start(self) -> None:
        """Listen in background threads; OSError if the address cannot be used, Permanent if the certificates cannot."""
        configure()
        ours = self._listening
        tls = None if ours.tls is None else FollowedFiles(ours.tls)
        port = ours.bound or bound_port(ours.host, ours.port)
        listen(port)
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_CONN_OPEN, send_at_once),
            (evt.EVT_CONN_OPEN, wait_no_longer),
            (evt.EVT_CONN_CLOSE, _let_go),
            (evt.EVT_ACCEPTED, self._count, ["accepted"]),
            (evt.EVT_REJECTED, self._count, ["rejected"]),
            (evt.EVT_RELEASED, self._count, ["released"]),
            (evt.EVT_ABORTED, self._count, ["aborted"]),
            (evt.EVT_DIMSE_RECV, answer_malformed, [StoreAnswer.DOES_NOT_MATCH, self._count_malformed]),
            (evt.EVT_C_STORE, self._answer),
        ]
        if self._on_report is not None:
            handlers += [
                (evt.EVT_REQUESTED, accept_role),
                (evt.EVT_N_EVENT_REPORT, _answer_report, [self._on_report]),
            ]
        self._acceptor = Acceptor(
            self._ae,
            ListeningPort(port, shared=ours.processes > 1),
            handlers,
            self._callers,
            self._turned_away,
            self._room,
            tls,
        )
        self._acceptor.start()

    @property
    def listening(self) -> bool:
        """Is the port open?"""
        return self._acceptor.door.open

    @property
    def busy(self) -> str:
        """Why somebody else would not be let in now; "" where nothing is in the way."""
        crowded = "many connections wait without asking for an association" if self._acceptor.door.crowded else ""
        return self._callers.busy or crowded

    @property
    def port(self) -> int:
        """The port listened on (asked for 0: the one that the system chose)."""
        return self._acceptor.port

    def stop(self, wait_s: float = 10.0) -> None:
        """Take no new associations, let the open ones end for up to `wait_s`, then abort them."""
        self._acceptor.stop()
        deadline = time.monotonic() + wait_s
        while self._callers.held() and time.monotonic() < deadline:
            time.sleep(0.05)
        self._callers.end()
        deadline = time.monotonic() + _ENDS_WITHIN_S
        while self._callers.held() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _count(self, event: evt.Event, outcome: str) -> None:
        if outcome in ("rejected", "aborted"):
            log.warning("association %s: calling AE %s", outcome, event.assoc.requestor.ae_title)
        self._observer.association(outcome)

    def _count_malformed(self) -> None:
        self._observer.instance(_label(""), StoreAnswer.DOES_NOT_MATCH, 0.0)

    def _answer(self, event: evt.Event) -> StoreAnswer:
        """EVT_C_STORE: the status of the response. Whatever happens, the sender gets one and the service lives on."""
        began = time.perf_counter()
        calling_ae, modality = event.assoc.requestor.ae_title, ""
        assert isinstance(event.assoc, BoundedAssociation)
        if Right.STORE not in event.assoc.may:
            log.warning("instance from %s refused: `may` of its entry in `receiver.callers` has no `store`", calling_ae)
            self._observer.instance(_label(""), StoreAnswer.NOT_AUTHORISED, 0.0)
            return StoreAnswer.NOT_AUTHORISED
        try:
            arrival = self._arrival(event)
            identity, modality = arrival.identity, arrival.identity.modality
            if self._admission is None or self._admission.admits(identity, calling_ae, event.assoc):
                self._inbox.take(arrival)
                self._report(event.assoc, arrival)
                status = StoreAnswer.SUCCESS
                self._tell("")
            else:
                status = StoreAnswer.OUT_OF_RESOURCES
        except Unidentified as error:
            log.warning("instance from %s refused: %s", calling_ae, error)
            status = StoreAnswer.DOES_NOT_MATCH
        except TooLarge as error:
            log.warning("instance from %s refused: %s", calling_ae, error)
            status = StoreAnswer.CANNOT_UNDERSTAND
        except OSError as error:  # of the inbox, or of the disk that large objects lie on
            self._tell(error.strerror or str(error))
            status = StoreAnswer.OUT_OF_RESOURCES
        except Exception as error:
            log.error("instance from %s failed: %s", calling_ae, type(error).__name__)
            status = StoreAnswer.CANNOT_UNDERSTAND
        self._observer.instance(_label(modality), status, time.perf_counter() - began)
        return status

    def _report(self, association: BoundedAssociation, arrival: Arrival) -> None:
        if self._reports is not None:
            association.when_over = partial(self._reports.ended, id(association))
            self._reports.kept(id(association), arrival)

    def _turned_away(self, who: TurnedAway) -> None:
        self._observer.association(who.outcome)
        if self._reports is not None and who.not_believed:
            self._reports.turned_away(who.host, who.calling_ae, who.why)

    def _tell(self, trouble: str) -> None:
        """Say once that nothing can be kept, not for every slice; and once that it works again."""
        before, self._trouble = self._trouble, trouble
        if trouble and trouble != before:
            log.error("images are refused, they cannot be kept: %s", trouble)
        elif before and not trouble:
            log.warning("images are kept again")

    def _arrival(self, event: evt.Event) -> Arrival:
        request, association = event.request, event.assoc.requestor
        assert isinstance(request, C_STORE) and association.primitive is not None
        assert isinstance(request.DataSet, Received)
        try:
            prefix = _PREAMBLE + encode_file_meta(event.file_meta)
        except (*UNPARSABLE, OSError) as error:  # all is in memory: no disk failed
            raise Unidentified(f"no DICOM file can be made of it ({type(error).__name__})") from error
        content = request.DataSet.content(prefix)
        identity = identify(content)
        if (identity.sop_class_uid, identity.sop_instance_uid) != (
            str(request.AffectedSOPClassUID),
            str(request.AffectedSOPInstanceUID),
        ):
            raise Unidentified("the dataset is another instance than the C-STORE request says")
        return Arrival(
            identity,
            calling_ae=association.ae_title,
            called_ae=association.primitive.called_ae_title,
            peer_address=association.address or "",
            received_at=self._clock(),
            content=content,
        )


def _answer_report(event: evt.Event, on_report: OnReport) -> tuple[ReportAnswer, None]:
    """EVT_N_EVENT_REPORT: from who may report, in a context of it; pynetdicom looks at neither."""
    assert isinstance(event.assoc, BoundedAssociation)
    if Right.REPORT in event.assoc.may and event.context.abstract_syntax == STORAGE_COMMITMENT:
        return answer_report(event, on_report)
    log.warning("storage commitment report, calling AE %s: it may not report so", event.assoc.requestor.ae_title)
    return ReportAnswer.NOT_AUTHORISED, None


def _let_go(event: evt.Event) -> None:
    """EVT_CONN_CLOSE: who has gone before its request was read holds its place no longer.

    pynetdicom goes on waiting for the request for half a minute; nothing in its queue ends that.
    """
    if event.assoc.requestor.primitive is None:
        answers: Any = event.assoc.dul.to_user_queue
        answers.put(None)


def _label(modality: str) -> str:
    """A metric's label: code strings only, so that a broken sender cannot write patient data into it."""
    return modality if _CODE_STRING.fullmatch(modality) else "OTHER"
