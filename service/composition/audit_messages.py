"""Builds, from the settings, what tells the hospital's collector of audit messages."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from socket import gethostname

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from service.composition.storage import existing_storage, open_storage
from service.domain import audit_event as events
from service.domain.audit_event import AuditEvent, Participant, Subject
from service.errors import ThoracleError
from service.network.audit_message import syslog_message
from service.network.syslog import Collector, send
from service.settings import Settings, tls_files
from service.store.audit_outbox import AuditOutbox
from service.store.engine import in_words
from service.store.liveness import Locks
from service.worker.audit_sender import HOLDERS, AuditSender
from service.worker.receiver_reports import ReceiverReports

log = logging.getLogger(__name__)

now = partial(datetime.now, UTC)

_STUDIES_A_MESSAGE = 50
"""With 64 characters of a UID and what stands around it, 8 kB of the 64 that collectors take."""


def outbox(settings: Settings, engine: sa.Engine) -> AuditOutbox | None:
    """Where events wait for the collector; None: there is none, and nobody is told."""
    return None if settings.audit.collector is None else AuditOutbox(engine)


def us(settings: Settings, role: str) -> Participant:
    """A process of this installation, as others see it."""
    return Participant(f"thoracle {role}@{gethostname()}", ae_title=settings.receiver.ae_title, address=gethostname())


@contextmanager
def announced(kept: AuditOutbox | None, who: Participant) -> Iterator[None]:
    """Tells that a process begins and ends its work. A database that is away changes neither."""

    def tell(event: AuditEvent) -> None:
        try:
            if kept is not None:
                kept.put(event)
        except SQLAlchemyError as error:
            log.error("the collector of audit messages will not hear of our start or end: %s", in_words(error))

    tell(events.application_started(who, now()))
    yield
    tell(events.application_stopped(who, now()))


def receiver_reports(settings: Settings, engine: sa.Engine, alive: Locks) -> ReceiverReports | None:
    """What the receiver reports; None: nobody wants to know."""
    kept = outbox(settings, engine)
    return None if kept is None else ReceiverReports(kept, alive.join(HOLDERS), us(settings, "receiver"), now)


def audit_sender(settings: Settings, engine: sa.Engine, alive: Locks) -> AuditSender | None:
    """What sends; None: there is no collector, and what one of before did not get is deleted."""
    kept = outbox(settings, engine)
    if kept is None:
        AuditOutbox(engine).clear()
        return None
    return AuditSender(kept, alive, sending(settings), us(settings, "worker"))


def tell_read(settings: Settings, who: str) -> None:
    """Somebody has read the audit trail."""
    if settings.audit.collector is not None:
        AuditOutbox(existing_storage(settings)[1]).put(events.audit_trail_used(us(settings, "command"), who, now()))


def tell_exported(settings: Settings, who: str, medium: Path) -> None:
    """Somebody has written all studies to a medium. Permanent if the schema is another version's."""
    if settings.audit.collector is not None:
        existing_storage(settings)
    _tell_of_all(settings, lambda some: events.exported(us(settings, "command"), who, str(medium), some, now()))


def tell_imported(settings: Settings, who: str, medium: Path) -> None:
    """Somebody has read all studies from a medium."""
    _tell_of_all(settings, lambda some: events.imported(us(settings, "command"), who, str(medium), some, now()))


def _tell_of_all(settings: Settings, event: Callable[[tuple[Subject, ...]], AuditEvent]) -> None:
    """One event for so many studies as one message holds. A database of an older version is brought up."""
    if settings.audit.collector is not None:
        kept = AuditOutbox(open_storage(settings)[1])
        every = [events.study(uid) for uid in kept.kept_studies()]
        parts = [tuple(every[at : at + _STUDIES_A_MESSAGE]) for at in range(0, max(1, len(every)), _STUDIES_A_MESSAGE)]
        kept.put(*map(event, parts))


def why_not(settings: Settings) -> str | None:
    """Asks whether the collector answers: None, or why not in words."""
    try:
        sending(settings)([])
    except ThoracleError as error:
        return str(error)
    return None


def sending(settings: Settings) -> Callable[[Sequence[AuditEvent]], None]:
    """Sends events to the configured collector; returns when it has them, ThoracleError, in words, if it has not."""
    ours = settings.audit.collector
    assert ours is not None
    there = Collector(ours.host, ours.port, tls_files(ours.tls))
    source = settings.audit.source or f"thoracle@{gethostname()}"

    def told(some: Sequence[AuditEvent]) -> None:
        send(there, [syslog_message(event, source) for event in some])

    return told
