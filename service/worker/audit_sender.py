"""Tells the hospital's collector of audit messages what has happened. One process of all does so.

Nothing leaves the database before the collector has read it; after a kill it may hear something twice.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from service.domain import audit_event as events
from service.domain.audit_event import AuditEvent, Outcome, Participant
from service.domain.login import ACCOUNT_SUBJECT, API, LOG_IN, LOG_OUT, TOKEN_SUBJECT
from service.errors import ThoracleError
from service.log_once import LogOnce
from service.periodic_task import PeriodicTask
from service.store.audit import DONE
from service.store.audit_outbox import AuditOutbox
from service.store.engine import in_words
from service.store.liveness import Locks
from service.worker.receiver_reports import cut_short
from service.worker_step import InternalError, worker_step

log = logging.getLogger(__name__)

HOLDERS = "audit"
"""The group of the locks of processes in which events go on."""

_LOGINS = {LOG_IN: events.LOGIN, LOG_OUT: events.LOGOUT}
_SENDER = "audit sender"
_ROUND_S = 1.0
_AT_ONCE = 200
_LONGEST_WAIT_ROUNDS = 60
_ENDS_WITHIN_S = 5.0


class AuditSender(PeriodicTask):
    """One thread per worker process; that of one worker sends."""

    def __init__(
        self, outbox: AuditOutbox, locks: Locks, send: Callable[[Sequence[AuditEvent]], None], us: Participant
    ) -> None:
        """send: returns when the collector has all of them; ThoracleError, in words, if it does not."""
        super().__init__("audit sender", _ROUND_S)
        self._outbox = outbox
        self._locks = locks
        self._send = send
        self._us = us
        self._wait, self._waits, self._most = 0, 1, _AT_ONCE
        self._trouble = LogOnce(
            log,
            "the collector of audit messages does not get them now: %s; they are kept and sent later",
            "the collector of audit messages gets them again",
        )

    def tick(self) -> bool:
        """Send some of what waits; whether there may be more."""
        self._locks.members(HOLDERS)  # files of locks that the dead have left go
        for holder in self._outbox.holders():
            with self._locks.inherit(HOLDERS, holder) as is_dead:
                if is_dead:
                    self._outbox.end_all(holder, cut_short)
        copied = self._outbox.copy_trail(self._of_trail, _AT_ONCE)
        due = self._outbox.due(self._most)
        if due:
            self._send([event for _, event in due])
            self._outbox.sent([number for number, _ in due])
        return copied == _AT_ONCE or len(due) == self._most

    def _look(self) -> None:
        if self._wait:
            self._wait -= 1
            return
        try:
            with worker_step(SQLAlchemyError):
                while not self._stop.is_set() and self._locks.take(_SENDER, _SENDER) and self.tick():
                    self._most = min(2 * self._most, _AT_ONCE)
            self._trouble.tell("")
            self._waits = 1
        except SQLAlchemyError as error:
            self._trouble.tell(in_words(error))
        except (ThoracleError, OSError) as error:
            if isinstance(error, InternalError):
                log.error("%s\n%s", error, error.where)
            self._trouble.tell(str(error))
            self._wait = self._waits = min(2 * self._waits, _LONGEST_WAIT_ROUNDS)
            self._most = max(1, self._most // 2)  # it may be too slow for so many at once

    def stop(self) -> None:
        """Returns soon: whatever is on its way is sent once more by the next one."""
        self._stop.set()
        self._thread.join(_ENDS_WITHIN_S)

    def _of_trail(self, row: sa.Row[Any], study_uid: str | None) -> AuditEvent:
        """What a row of the audit trail means: of a job it has the study."""
        outcome = Outcome.SUCCESS if row.outcome == DONE else Outcome.MINOR_FAILURE
        if row.subject == API and row.what in _LOGINS:
            who = Participant(row.who, address=str(row.detail.get("address", "")))
            return events.authenticated(
                self._us, who, row.at, _LOGINS[row.what], outcome, str(row.detail.get("why", ""))
            )
        if row.subject.startswith((ACCOUNT_SUBJECT, TOKEN_SUBJECT)):
            return events.user_changed(self._us, row.who, row.what, row.subject, row.at, outcome)
        if study_uid is None:
            return events.configured(self._us, row.who, row.what, row.subject, row.at, outcome)
        return events.job_changed(self._us, row.who, row.what, study_uid, row.at, outcome)
