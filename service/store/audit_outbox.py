"""Events for the hospital's collector of audit messages: each is a row until the collector has it.

An event that is still going on (images are coming) is a row that is open, of a process: what a kill leaves open is
closed by whoever finds its process dead. Changes of the audit trail are copied from there, each once.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from service.domain.audit_event import AuditEvent
from service.store.audit_chain import BEGUN
from service.store.tables import audit, audit_messages, audit_told, instances, jobs, studies

_EVENT = TypeAdapter(AuditEvent)


class AuditOutbox:
    """The tables of what the collector is to be told."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def put(self, *events: AuditEvent) -> None:
        """Keep events until they are sent."""
        with self._engine.begin() as connection:
            for event in events:
                _put(connection, event)

    def begin(self, event: AuditEvent, holder: str) -> int:
        """Keep an event that goes on; its number. holder: of which process, by its lock."""
        with self._engine.begin() as connection:
            return _put(connection, event, holder)

    def end(self, number: int, event: AuditEvent) -> None:
        """It is over, and this is what it was."""
        this = audit_messages.c.id == number
        with self._engine.begin() as connection:
            connection.execute(sa.update(audit_messages).where(this).values(event=_text(event), holder=None))

    def holders(self) -> list[str]:
        """Whose events go on."""
        query = sa.select(audit_messages.c.holder).where(audit_messages.c.holder.is_not(None)).distinct()
        with self._engine.begin() as connection:
            return list(connection.scalars(query))

    def end_all(self, holder: str, ended: Callable[[AuditEvent, Mapping[str, int]], AuditEvent]) -> None:
        """A process is dead: its events are over. ended: what each has become, given what came of its study since."""
        left = sa.select(audit_messages.c.id, audit_messages.c.event).where(audit_messages.c.holder == holder)
        with self._engine.begin() as connection:
            for number, text in connection.execute(left).all():
                event = _EVENT.validate_json(text)
                values = {"event": _text(ended(event, _came(connection, event))), "holder": None}
                connection.execute(sa.update(audit_messages).where(audit_messages.c.id == number).values(values))

    def due(self, most: int) -> list[tuple[int, AuditEvent]]:
        """What is to be sent next, by number."""
        query = sa.select(audit_messages.c.id, audit_messages.c.event).where(audit_messages.c.holder.is_(None))
        with self._engine.begin() as connection:
            rows = connection.execute(query.order_by(audit_messages.c.id).limit(most)).all()
        return [(number, _EVENT.validate_json(text)) for number, text in rows]

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
                if row.outcome != BEGUN:
                    _put(connection, told(row, row.study_uid))
            if rows:
                connection.execute(sa.update(audit_told).values(audit_id=rows[-1].id))
            return len(rows)


def _put(connection: sa.Connection, event: AuditEvent, holder: str | None = None) -> int:
    row = {"at": event.at, "event": _text(event), "holder": holder}
    kept = connection.execute(sa.insert(audit_messages).values(row).returning(audit_messages.c.id))
    return int(kept.scalar_one())


def _came(connection: sa.Connection, event: AuditEvent) -> dict[str, int]:
    """Numbers of instances of its first study since it began, by SOP class."""
    of_study = instances.c.study_uid == event.subjects[0].id, instances.c.received_at >= event.at
    count = sa.select(instances.c.sop_class_uid, sa.func.count()).where(*of_study)
    return {row[0]: row[1] for row in connection.execute(count.group_by(instances.c.sop_class_uid))}


def _text(event: AuditEvent) -> str:
    return _EVENT.dump_json(event).decode()
