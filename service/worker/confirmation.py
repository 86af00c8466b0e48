"""Confirms stored objects as delivered: the destination commits to them (Storage Commitment), or a query finds them.

Whatever becomes of the question, somebody decides: a commitment that is refused, not supported or not answered is
followed by a query. A destination that cannot be searched is asked again.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from pydicom.uid import generate_uid
from sqlalchemy.exc import SQLAlchemyError

from service.domain.commitment import Consequence, Reference, Report, consequence, reason_in_words
from service.domain.delivery import Confirm, OpenDelivery
from service.domain.delivery_state import Delivered
from service.domain.job import Job
from service.domain.job_state import State
from service.network.commitment import Asked
from service.store.deliveries import Confirmed, Deliveries
from service.worker.destination import Ask, DeliveryObserver, Target
from service.worker.study_reports import Observers

log = logging.getLogger(__name__)

ASK_AT_MOST = 3
"""Commitments asked for without an answer, before the destination is searched for the objects instead."""


class Confirmation:
    """Makes sure that what is stored at a destination stays there."""

    def __init__(
        self,
        deliveries: Deliveries,
        observers: Observers[DeliveryObserver],
        clock: Callable[[], datetime],
    ) -> None:
        self._deliveries = deliveries
        self._observer = observers.metrics
        self._reports = observers.reports
        self._clock = clock

    def seek(self, job: Job, name: str, target: Target, stored: Sequence[OpenDelivery], attempt: int) -> float | None:
        """Ask for a commitment, or look whether it is there; seconds until the next look."""
        now, first = self._clock(), stored[0]
        wait_s = target.policy.wait_s(attempt, now - max(s.since for s in stored))
        if wait_s is None:
            self._give_up(job, name, len(stored))
            return None
        if first.asked_at is not None:
            age_s = (now - first.asked_at).total_seconds()  # negative: the clock was set back, and nobody knows
            if 0 <= age_s < target.answer_within_s:
                return target.answer_within_s - age_s
        ask = target.ask if target.confirm is Confirm.COMMITMENT else None
        ask_first = first.asked < ASK_AT_MOST and not _answered(stored)
        if ask is not None and ask_first and self._ask(job, name, ask, stored).accepted:
            return self._open(job.job_id, name, target.answer_within_s)
        found = self._find(job, name, target, stored)
        if ask is not None and not ask_first and not found and self._ask(job, name, ask, stored).accepted:
            return self._open(job.job_id, name, target.answer_within_s)
        return self._open(job.job_id, name, wait_s)

    def _ask(self, job: Job, name: str, ask: Ask, stored: Sequence[OpenDelivery]) -> Asked:
        """The transaction is on disk before the peer hears of it: its answer may come on any association."""
        transaction_uid = str(generate_uid())
        self._deliveries.ask(job.job_id, name, transaction_uid, self._clock())
        asked = ask(transaction_uid, [Reference(s.sop_class_uid, s.sop_instance_uid) for s in stored])
        if asked.accepted:
            self._deliveries.accepted(transaction_uid, self._clock())
        if asked.report is not None:
            keep_report(asked.report, self._deliveries, self._observer, self._clock())
        elif not asked.accepted:
            log.warning("job %s: no commitment by %s, it is searched: %s", job.job_id, name, asked.message)
        return asked

    def _find(self, job: Job, name: str, target: Target, stored: Sequence[OpenDelivery]) -> bool:
        """Whether the destination could be searched for what it stored."""
        if target.find:
            self._reports.asking(job.study_uid, target.peer)
        there = target.find(job.study_uid, [s.sop_instance_uid for s in stored]) if target.find else None
        if there is None:
            log.warning("job %s: %s cannot be asked what it has", job.job_id, name)
            return False
        now = self._clock()
        patience = timedelta(seconds=target.answer_within_s)
        lost = [s for s in stored if s.sop_instance_uid not in there and s.stored_at and s.stored_at + patience < now]
        again = {s.sop_instance_uid: "stored, but not found there" for s in lost}
        if lost:
            log.warning("job %s to %s: %d objects stored, but not found there", job.job_id, name, len(lost))
        tell(self._deliveries.confirm(job.job_id, name, there, again, now), self._observer, now)
        return True

    def _open(self, job_id: str, name: str, wait_s: float) -> float | None:
        return wait_s if self._deliveries.open(job_id, name) else None

    def _give_up(self, job: Job, name: str, count: int) -> None:
        why = f"stored, but {name} never confirmed it"
        log.error("job %s to %s: %d objects %s", job.job_id, name, count, why)
        for _ in range(count):
            self._observer.delivery(name, Delivered.UNCONFIRMED)
        now = self._clock()
        tell_end(self._deliveries.give_up(job.job_id, name, why, now, only_stored=True), self._observer, now)


def keep_report(report: Report, deliveries: Deliveries, observer: DeliveryObserver, now: datetime) -> bool:
    """Record a peer's answer to a commitment request, whichever process it reached; False if we never asked for it.

    OSError: it cannot be kept now.
    """
    why = {uid: f"not committed: {reason_in_words(reason)}" for uid, reason in report.failed.items()}
    meaning = {uid: consequence(reason) for uid, reason in report.failed.items()}
    again = {uid: text for uid, text in why.items() if meaning[uid] is Consequence.RESEND}
    rejected = {uid: text for uid, text in why.items() if meaning[uid] is Consequence.REJECTED}
    try:
        confirmed = deliveries.report(report, again, rejected, now)
    except SQLAlchemyError as error:
        raise OSError(f"the database does not answer ({type(error).__name__})") from error
    if confirmed is None:
        return False
    for text, count in Counter(why.values()).items():
        log.warning("job %s to %s: %d objects %s", confirmed.job.job_id, confirmed.destination, count, text)
    tell(confirmed, observer, now)
    return True


def tell(confirmed: Confirmed, observer: DeliveryObserver, now: datetime) -> None:
    """Nothing where nothing has changed: a report may come twice."""
    for state, why in confirmed.outcomes:
        if state is not Delivered.COMMITTED:
            observer.delivery(confirmed.destination, Delivered.UNCONFIRMED)
        if state is Delivered.UNCONFIRMED:
            log.error("job %s to %s: given up: %s", confirmed.job.job_id, confirmed.destination, why)
    if confirmed.outcomes:
        tell_end(confirmed.job, observer, now)


def tell_end(job: Job, observer: DeliveryObserver, now: datetime) -> None:
    """Count a job that ends now."""
    if job.state is State.DELIVERED:
        log.info("job %s delivered", job.job_id)
        if job.acquired_at is not None and job.delivered_at == now:  # not what an operator wanted once more
            observer.delivered((now - job.acquired_at).total_seconds())


def _answered(stored: Sequence[OpenDelivery]) -> bool:
    """Whether the peer has answered since the latest was stored, and committed to none of these: a query decides."""
    first = stored[0]
    if first.asked_at is None or first.asked:
        return False
    return all(s.stored_at is not None and s.stored_at <= first.asked_at for s in stored)
