"""Events for the hospital's collector of audit messages: each is a row until the collector has it.

An event that is still going on (images are coming) is a row that is open, of a process: what a kill leaves open is
closed by whoever finds its process dead. Changes of the audit trail are copied from there, each once.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError

from service.domain.audit_event import AuditEvent
from service.store.audit_chain import BEGUN, TRAIL
from service.store.tables import audit, audit_messages, audit_told, instances, jobs, studies

log = logging.getLogger(__name__)

_EVENT = TypeAdapter(AuditEvent)
_NOBODY = "nobody"
"""Holds what cannot be read; it is kept, and never sent."""


class AuditOutbox:
    """The tables of what the collector is to be told."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def put(self, *events: AuditEvent) -> None:
        """Keep events until they are sent."""
        with self._engine.begin() as connection:
            for event in events:
                keep(connection, event)

    def begin(self, event: AuditEvent, holder: str) -> int:
        """Keep an event that goes on; its number. holder: of which process, by its lock."""
        with self._engine.begin() as connection:
            return keep(connection, event, holder)

    def end(self, number: int | None, event: AuditEvent) -> None:
        """It is over, and this is what it was. number: None: its beginning could not be kept.

        Where it was told already that nobody saw its end, it is told once more, rightly.
        """
        this = audit_messages.c.id == number, audit_messages.c.holder.is_not(None)
        with self._engine.begin() as connection:
            over = {"at": event.at, "event": _text(event), "holder": None}
            if not connection.execute(sa.update(audit_messages).where(*this).values(over)).rowcount:
                keep(connection, event)

    def holders(self) -> list[str]:
        """Returns the locks of processes in which events go on."""
        query = sa.select(audit_messages.c.holder).where(audit_messages.c.holder != _NOBODY).distinct()
        with self._engine.begin() as connection:
            return list(connection.scalars(query))

    def end_all(self, holder: str, ended: Callable[[AuditEvent, Mapping[str, int]], AuditEvent]) -> None:
        """A process is dead: its events are over. ended: what each has become, given what came of its study since."""
        left = sa.select(audit_messages.c.id, audit_messages.c.event).where(audit_messages.c.holder == holder)
        with self._engine.begin() as connection:
            for number, text in connection.execute(left).all():
                event = _read(text)
                if event is None:
                    connection.execute(
                        sa.update(audit_messages).where(audit_messages.c.id == number).values(holder=_NOBODY)
                    )
                    continue
                values = {"event": _text(ended(event, _came(connection, event))), "holder": None}
                connection.execute(sa.update(audit_messages).where(audit_messages.c.id == number).values(values))

    def due(self, most: int) -> list[tuple[int, AuditEvent]]:
        """What is to be sent next, by number."""
        query = sa.select(audit_messages.c.id, audit_messages.c.event).where(audit_messages.c.holder.is_(None))
        with self._engine.begin() as connection:
            rows = connection.execute(query.order_by(audit_messages.c.id).limit(most)).all()
        found = [(number, _read(text)) for number, text in rows]
        if strange := [number for number, event in found if event is None]:
            log.error("audit messages %s are set aside: nothing of ours wrote them so", strange)
            with self._engine.begin() as connection:
                aside = sa.update(audit_messages).where(audit_messages.c.id.in_(strange))
                connection.execute(aside.values(holder=_NOBODY))
        return [(number, event) for number, event in found if event is not None]

    def clear(self) -> None:
        """Nobody is told any more: what waits, and names patients, goes; a later collector hears from then on."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(audit_messages))
            connection.execute(sa.delete(audit_told))

    def sent(self, numbers: Collection[int]) -> None:
        """The collector has these."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(audit_messages).where(audit_messages.c.id.in_(numbers)))

    def waiting_since(self) -> datetime | None:
        """When the oldest happened that waits to be sent; None: nothing waits."""
        oldest = sa.select(sa.func.min(audit_messages.c.at)).where(audit_messages.c.holder.is_(None))
        with self._engine.begin() as connection:
            found: datetime | None = connection.scalar(oldest)
        return found

    def kept_studies(self) -> list[str]:
        """Studies of which there are files."""
        with self._engine.begin() as connection:
            return list(connection.scalars(sa.select(studies.c.study_uid).where(studies.c.kept)))

    def copy_trail(self, told: Callable[[sa.Row[Any], str | None], AuditEvent], most: int) -> int:
        """Make events of new rows of the audit trail; how many rows there were. The first time none are made.

        told: what a row means, given the study of the job that it is about, if it is about one.
        """
        with self._engine.begin() as connection:
            last = connection.scalar(sa.select(audit_told.c.audit_id).with_for_update())
            if last is None:
                end = connection.scalar(sa.select(sa.func.max(audit.c.id))) or 0
                connection.execute(sa.insert(audit_told).values(id=1, audit_id=end))
                return 0
            rows = connection.execute(
                sa.select(audit, jobs.c.study_uid)
                .outerjoin(jobs, jobs.c.job_id == audit.c.subject)
                .where(audit.c.id > last)
                .order_by(audit.c.id)
                .limit(most)
            ).all()
            for row in rows:
                if row.outcome != BEGUN and row.subject != TRAIL:
                    keep(connection, told(row, row.study_uid))
            if rows:
                connection.execute(sa.update(audit_told).values(audit_id=rows[-1].id))
            return len(rows)


def keep(connection: sa.Connection, event: AuditEvent, holder: str | None = None) -> int:
    """The same within a transaction, that of what it tells of; its number."""
    row = {"at": event.at, "event": _text(event), "holder": holder}
    kept = connection.execute(sa.insert(audit_messages).values(row).returning(audit_messages.c.id))
    return int(kept.scalar_one())


def _came(connection: sa.Connection, event: AuditEvent) -> dict[str, int]:
    """Numbers of instances of its first study since it began, by SOP class."""
    of_study = instances.c.study_uid == event.subjects[0].id, instances.c.received_at >= event.at
    count = sa.select(instances.c.sop_class_uid, sa.func.count()).where(*of_study)
    return {row[0]: row[1] for row in connection.execute(count.group_by(instances.c.sop_class_uid))}


def _read(text: str) -> AuditEvent | None:
    """None where nothing of ours has written it so; what is wrong may quote a patient's number."""
    try:
        return _EVENT.validate_json(text)
    except ValidationError:
        return None


def _text(event: AuditEvent) -> str:
    return _EVENT.dump_json(event).decode()
