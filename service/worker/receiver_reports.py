"""What the receiver reports to the hospital's collector of audit messages: who sent what, and who was not let in.

Of each study that comes by an association there is one event. It is kept before the sender hears that its first image
is stored, and completed when the association ends; after a kill a worker completes it (`cut_short`).
"""

import logging
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
"""Of the same address, name and reason: who tries a thousand times is told of once a minute."""

_MOST_ALERTS = 100
"""In the same time, of all."""

_CUT_SHORT = "the receiver was killed before the association ended: what came of the study since it began is counted"


@dataclass(slots=True)
class _Coming:
    """A study that comes by an association. number: of its event; None: it could not be kept."""

    event: AuditEvent
    number: int | None
    patient_id: str
    classes: Counter[str] = field(default_factory=Counter)


class ReceiverReports:
    """Port `domain.ports.ReceiverReports`. Its methods may be called from any thread; of one association from one."""

    def __init__(self, outbox: AuditOutbox, holder: str, us: Participant, clock: Callable[[], datetime]) -> None:
        """holder: lock of this process."""
        self._outbox = outbox
        self._holder = holder
        self._us = us
        self._clock = clock
        self._coming: dict[tuple[int, str], _Coming] = {}
        self._told: dict[tuple[str, str, str], float] = {}
        self._telling = threading.Lock()
        self._trouble = LogOnce(
            log, "the collector of audit messages will not hear of everything: %s", "audit messages are kept again"
        )

    def kept(self, association: int, arrival: Arrival) -> None:
        key = association, arrival.identity.study_uid
        coming = self._coming.get(key)
        if coming is None:
            coming = self._coming[key] = self._begun(arrival)
        coming.classes[arrival.identity.sop_class_uid] += 1

    def ended(self, association: int, released: bool) -> None:
        for key in [one for one in list(self._coming) if one[0] == association]:
            coming = self._coming.pop(key)
            outcome, why = (Outcome.SUCCESS, "") if released else (Outcome.MINOR_FAILURE, "the association was aborted")
            about = events.study(key[1], dict(coming.classes)), events.patient(coming.patient_id)
            event = replace(coming.event, at=self._clock(), subjects=about, outcome=outcome, why=why)
            if coming.number is not None:
                self._try(lambda number=coming.number, event=event: self._outbox.end(number, event))  # type: ignore[misc]

    def turned_away(self, address: str, calling_ae: str, why: str) -> None:
        whom = Participant(calling_ae or address, True, None, calling_ae, address)
        if self._is_new((address, calling_ae, why)):
            self._try(lambda: self._outbox.put(events.refused_node(self._us, whom, self._clock(), why)))

    def _begun(self, arrival: Arrival) -> _Coming:
        sender = Participant(arrival.calling_ae, True, None, arrival.calling_ae, arrival.peer_address)
        us = replace(self._us, ae_title=arrival.called_ae)
        identity, whose = arrival.identity, patient_id(BytesIO(arrival.content[:MOST_LOOKED_AT_BYTES]))
        about = events.study(identity.study_uid, {identity.sop_class_uid: 1}), events.patient(whose)
        event = events.transferred(sender, us, sender, about, arrival.received_at)
        number = self._try(lambda: self._outbox.begin(event, self._holder))
        return _Coming(event, number, whose)

    def _try(self, keep: Callable[[], int | None]) -> int | None:
        """A database that is away is no reason to refuse an image that is kept."""
        try:
            done = keep()
        except SQLAlchemyError as error:
            self._trouble.tell(in_words(error))
            return None
        self._trouble.tell("")
        return done

    def _is_new(self, alert: tuple[str, str, str]) -> bool:
        with self._telling:
            now_s = time.monotonic()
            self._told = {one: at_s for one, at_s in self._told.items() if now_s - at_s < _ONE_ALERT_EVERY_S}
            if alert in self._told or len(self._told) >= _MOST_ALERTS:
                return False
            self._told[alert] = now_s
            return True


def cut_short(event: AuditEvent, classes: Mapping[str, int]) -> AuditEvent:
    """What an event has become whose process was killed. classes: images of the study that came since it began."""
    study, *others = event.subjects
    about = replace(study, classes=classes or study.classes), *others
    return replace(event, subjects=about, outcome=Outcome.SERIOUS_FAILURE, why=_CUT_SHORT)
