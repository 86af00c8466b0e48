"""What the receiver reports to the hospital's collector of audit messages: who sent what, and who was not let in.

Of each study that comes by an association there is one event. It is kept before the sender hears that its first image
is stored, and completed when the association ends; after a kill a worker completes it (`cut_short`).
"""

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from io import BytesIO

from sqlalchemy.exc import SQLAlchemyError

from service.domain import audit_event as events
from service.domain.arrival import MOST_LOOKED_AT_BYTES, Arrival, patient_id
from service.domain.audit_event import AuditEvent, Outcome, Participant
from service.log_once import LogOnce
from service.store.audit_outbox import AuditOutbox
from service.store.engine import in_words

log = logging.getLogger(__name__)

_ONE_ALERT_EVERY_S = 60.0
"""Alerts about the same address, name and reason come so far apart at least."""

_MOST_ALERTS = 100
"""Alerts about everybody in that time."""

_AGAIN_S = 1.0
_ENDS_WITHIN_S = 5.0

_CUT_SHORT = (
    "the receiver was killed, or could not be seen any more, before the association ended: what came of the study "
    "since it began is counted"
)

_Write = Callable[[], object]


@dataclass(slots=True)
class _Coming:
    """A study that comes by an association. number: of its event; None: it could not be kept."""

    event: AuditEvent
    number: int | None
    patient_id: str
    classes: Counter[str] = field(default_factory=Counter)


class ReceiverReports:
    """Port `domain.ports.ReceiverReports`. Its methods may be called from any thread; of one association from one.

    All but the beginning of an event is written by a thread of its own, which tries until it is done: a database that
    is slow or away keeps nobody waiting at the door.
    """

    def __init__(
        self,
        outbox: AuditOutbox,
        holder: str,
        us: Participant,
        clock: Callable[[], datetime],
        again_s: float = _AGAIN_S,
    ) -> None:
        """holder: lock of this process. again_s: what could not be written is tried again after it."""
        self._outbox = outbox
        self._holder = holder
        self._us = us
        self._clock = clock
        self._again_s = again_s
        self._coming: dict[tuple[int, str], _Coming] = {}
        self._told: dict[tuple[str, str, str], float] = {}
        self._to_write: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._trouble = LogOnce(
            log, "audit messages cannot be kept now: %s; it is tried again", "audit messages are kept again"
        )
        self._thread = threading.Thread(target=self._run, name="receiver reports", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, for a few seconds; after that a worker finds what is open."""
        self._to_write.put(None)
        self._thread.join(_ENDS_WITHIN_S)
        self._stopping.set()

    def kept(self, association: int, arrival: Arrival) -> None:
        key = association, arrival.identity.study_uid
        coming = self._coming.get(key)
        if coming is None:
            coming = self._coming[key] = self._begun(arrival)
        coming.classes[arrival.identity.sop_class_uid] += 1

    def ended(self, association: int, released: bool) -> None:
        for key in [one for one in list(self._coming) if one[0] == association]:
            self._end(key[1], self._coming.pop(key), released)

    def turned_away(self, address: str, calling_ae: str, why: str) -> None:
        """Only the thread of the door may call this."""
        alert, now_s = (address, calling_ae, why), time.monotonic()
        self._told = {one: at_s for one, at_s in self._told.items() if now_s - at_s < _ONE_ALERT_EVERY_S}
        if alert not in self._told and len(self._told) < _MOST_ALERTS:
            self._told[alert] = now_s
            whom = Participant(calling_ae or address, ae_title=calling_ae, address=address)
            event = events.refused_node(self._us, whom, self._clock(), why)
            self._to_write.put(lambda: self._outbox.put(event))

    def _begun(self, arrival: Arrival) -> _Coming:
        sender = Participant(arrival.calling_ae, ae_title=arrival.calling_ae, address=arrival.peer_address)
        us = replace(self._us, ae_title=arrival.called_ae)
        identity, whose = arrival.identity, patient_id(BytesIO(arrival.content[:MOST_LOOKED_AT_BYTES]))
        about = events.study(identity.study_uid, {identity.sop_class_uid: 1}), events.patient(whose)
        event = events.received(sender, us, about, arrival.received_at)
        number = None
        try:
            number = self._outbox.begin(event, self._holder)
        except SQLAlchemyError as error:  # no reason to refuse an image that is kept
            log.error("an audit message is kept only when the association ends: %s", in_words(error))
        return _Coming(event, number, whose)

    def _end(self, study_uid: str, coming: _Coming, released: bool) -> None:
        outcome, why = (Outcome.SUCCESS, "") if released else (Outcome.MINOR_FAILURE, "the association was aborted")
        about = events.study(study_uid, dict(coming.classes)), events.patient(coming.patient_id)
        event = replace(coming.event, at=self._clock(), subjects=about, outcome=outcome, why=why)
        self._to_write.put(lambda: self._outbox.end(coming.number, event))

    def _run(self) -> None:
        while (write := self._to_write.get()) is not None:
            while not self._written(write) and not self._stopping.wait(self._again_s):
                pass

    def _written(self, write: _Write) -> bool:
        try:
            write()
        except SQLAlchemyError as error:
            self._trouble.tell(in_words(error))
            return False
        self._trouble.tell("")
        return True


def cut_short(event: AuditEvent, classes: Mapping[str, int]) -> AuditEvent:
    """What an event has become whose process is dead. classes: images of the study that came since it began."""
    study, *others = event.subjects
    about = replace(study, classes=classes or study.classes), *others
    return replace(event, subjects=about, outcome=Outcome.SERIOUS_FAILURE, why=_CUT_SHORT)
