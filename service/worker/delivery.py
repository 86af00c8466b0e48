"""One attempt to deliver a job to one destination: send what is not there, then make sure that it stays there.

Each object's state is in the database, so an attempt that is killed is taken up where it was. What was stored is
delivered only when the destination answers for it (Storage Commitment, PS3.4 Annex J) or is seen to have it.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from traceback import format_tb
from typing import Protocol

from pydicom.uid import generate_uid
from sqlalchemy.exc import SQLAlchemyError

from service.domain.commitment import Consequence, Reference, Report, consequence, reason_in_words
from service.domain.job import (
    SENDING,
    UNCONFIRMED,
    Confirm,
    Delivered,
    Job,
    ObjectDelivery,
    OpenDelivery,
    State,
    StoredObject,
)
from service.domain.ports import Spool
from service.domain.retry import RetryPolicy
from service.domain.routing import Rule, StudyFacts, routed
from service.evidence.context import NOTICES, STUDY, Earlier, Predecessor
from service.network.commitment import Asked
from service.network.send import StoreOutcome, Verdict
from service.store.deliveries import Confirmed, Deliveries
from service.store.jobs import Jobs
from service.store.planning import Plan

log = logging.getLogger(__name__)

_ASK_AT_MOST = 3
"""Commitments asked for without an answer, before the destination is searched for the objects instead."""


class DeliveryObserver(Protocol):
    """Who counts deliveries. Labels are outcomes and destinations, never patient data."""

    def delivery(self, destination: str, outcome: str) -> None: ...

    def delivered(self, latency_s: float) -> None: ...


Send = Callable[[Sequence[Path]], Sequence[StoreOutcome]]
"""Sends stored files in one attempt, one outcome per file; never raises a network error."""

Ask = Callable[[str, Sequence[Reference]], Asked]
"""Asks for a commitment, given the Transaction UID."""

Find = Callable[[str, Sequence[str]], frozenset[str] | None]
"""Which SOP Instance UIDs of a study are there; None if it cannot be asked."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One place that gets results.

    kinds: of evidence. style: of the evidence that depends on one. answer_within_s: after that a commitment is asked
    for again, and what is not found is sent again.
    """

    send: Send
    policy: RetryPolicy
    kinds: frozenset[str]
    style: str
    confirm: Confirm = Confirm.NONE
    ask: Ask | None = None
    find: Find | None = None
    answer_within_s: float = 300.0
    rules: tuple[Rule, ...] = ()

    def wants(self, stored: StoredObject) -> bool:
        return stored.kind in self.kinds and stored.style in (None, self.style)


class Courier:
    """Delivers jobs to the destinations of this installation."""

    def __init__(
        self,
        destinations: Mapping[str, Destination],
        spool: Spool,
        jobs: Jobs,
        deliveries: Deliveries,
        observer: DeliveryObserver,
        clock: Callable[[], datetime],
    ) -> None:
        self._destinations = destinations
        self._spool = spool
        self._jobs = jobs
        self._deliveries = deliveries
        self._observer = observer
        self._clock = clock

    def plans(self, objects: Sequence[StoredObject], facts: StudyFacts | None) -> dict[str, Plan]:
        """What each destination gets of these results, by the routing rules."""
        plans = {}
        for name, target in self._destinations.items():
            wanted = [o.sop_instance_uid for o in with_one_root([o for o in objects if target.wants(o)])]
            if wanted and (facts is None or routed(target.rules, facts)):
                plans[name] = Plan(wanted, target.confirm)
        return plans

    def plans_of(self, job: Job) -> dict[str, Plan]:
        """What each destination gets of an analysed or refused job."""
        return self.plans(self._jobs.objects(job.job_id), job.facts)

    def plan(self, job: Job) -> Sequence[str]:
        """Note what is to be delivered of a job that has results; where something is open."""
        plans = self.plans_of(job)
        if plans and job.state in (State.ANALYSED, *SENDING):
            self._deliveries.plan(job.job_id, plans, self._clock())
        return self._deliveries.destinations(job.job_id)

    def earlier(self, job: Job) -> Earlier | None:
        """What the results of this job replace in the archives."""
        replaced = self._deliveries.replaced_by(job.job_id)
        if replaced is None:
            return None
        before, objects = replaced
        known = [o for o in objects if o.series_uid is not None]
        there = [Predecessor(o.sop_class_uid, o.sop_instance_uid, str(o.series_uid), job.study_uid) for o in known]
        notice = any(o.kind in NOTICES for o in objects)
        return Earlier(before.number, before.started_at, notice, tuple(there))

    def deliver(self, job_id: str, name: str, attempt: int) -> float | None:
        """One attempt, counted from 1: seconds until the next one, None when nothing is open."""
        job = self._jobs.get(job_id)
        waiting = self._deliveries.open(job_id, name) if job.state in SENDING else []
        if not waiting:
            return None
        target = self._destinations.get(name)
        if target is None:
            self._give_up(job, name, "the destination is no longer configured")
            return None
        if any(w.confirm is not target.confirm for w in waiting):
            now = self._clock()
            _tell_end(self._deliveries.follow(job_id, name, target.confirm, now), self._observer, now)
            waiting = self._deliveries.open(job_id, name)
        to_send = [w for w in waiting if w.state in (Delivered.BUILT, Delivered.SENT)]
        waits = [self._send(job, name, target, to_send)] if to_send else []
        stored = [w for w in self._deliveries.open(job_id, name) if w.state is Delivered.STORED]
        if stored:
            waits.append(self._confirm(job, name, target, stored, attempt))
        return min((wait_s for wait_s in waits if wait_s is not None), default=None)

    def _send(self, job: Job, name: str, target: Destination, waiting: Sequence[OpenDelivery]) -> float | None:
        """Seconds until what was not taken is to be sent again; None if nothing is."""
        if not self._deliveries.mark_sent(job.job_id, name):
            return None
        sent = self._sent(target, [w.stored for w in waiting])
        now = self._clock()
        wait_s = target.policy.wait_s(1 + max(w.attempts for w in waiting), now - min(w.planned_at for w in waiting))
        outcomes = [_delivery(w.stored, one, wait_s is None) for w, one in zip(waiting, sent, strict=True)]
        again = any(o.state is Delivered.BUILT for o in outcomes)
        next_at = now + timedelta(seconds=wait_s) if again and wait_s is not None else None
        after = self._deliveries.record(job.job_id, name, outcomes, now, next_at)
        for outcome in outcomes:
            self._observer.delivery(name, outcome.state)
        for (state, error), count in Counter((o.state, o.error) for o in outcomes).items():
            if state is not Delivered.STORED:
                log.warning("job %s to %s: %d objects %s: %s", job.job_id, name, count, state, error)
        _tell_end(after, self._observer, now)
        return wait_s if again else None

    def _sent(self, target: Destination, objects: Sequence[StoredObject]) -> Sequence[StoreOutcome]:
        """One outcome per object. Storage that is away is no object's fault."""
        try:
            with self._spool.local([o.path for o in objects]) as paths:
                return target.send(paths)
        except OSError as error:
            message = f"cannot be read ({error})"
        except Exception as error:  # the worker step: it is recorded, and ends when the time for trying is over
            message = f"not sent (internal error {type(error).__name__})"
            log.error("%s\n%s", message, "".join(format_tb(error.__traceback__)))
        return [StoreOutcome(Path(o.path), "", Verdict.TRANSIENT, None, message) for o in objects]

    def _confirm(
        self, job: Job, name: str, target: Destination, stored: Sequence[OpenDelivery], attempt: int
    ) -> float | None:
        """Ask for a commitment, or look whether it is there; seconds until the next look."""
        now, first = self._clock(), stored[0]
        since = max(max(s.planned_at, s.stored_at or s.planned_at) for s in stored)
        wait_s = target.policy.wait_s(attempt, now - since)
        if wait_s is None:
            self._give_up(job, name, f"stored, but {name} never confirmed it")
            return None
        if first.asked_at is not None:
            age_s = (now - first.asked_at).total_seconds()  # negative: the clock was set back, and nobody knows
            if 0 <= age_s < target.answer_within_s and first.asked <= _ASK_AT_MOST:
                return target.answer_within_s - age_s
        if target.confirm is Confirm.COMMITMENT and target.ask is not None and first.asked < _ASK_AT_MOST:
            asked = self._ask(job, name, target.ask, stored)
            if not asked.unsupported:
                return self._open(job.job_id, name, target.answer_within_s if asked.accepted else wait_s)
        return self._find(job, name, target, stored, wait_s)

    def _ask(self, job: Job, name: str, ask: Ask, stored: Sequence[OpenDelivery]) -> Asked:
        """The transaction is on disk before the peer hears of it: its answer may come on any association."""
        transaction_uid = str(generate_uid())
        self._deliveries.ask(job.job_id, name, transaction_uid, self._clock())
        references = [Reference(s.stored.sop_class_uid, s.stored.sop_instance_uid) for s in stored]
        asked = ask(transaction_uid, references)
        if asked.accepted:
            self._deliveries.accepted(transaction_uid, self._clock())
        if asked.report is not None:
            keep_report(asked.report, self._deliveries, self._observer, self._clock())
        elif not asked.accepted:
            log.warning("job %s: no commitment by %s: %s", job.job_id, name, asked.message)
        return asked

    def _find(
        self, job: Job, name: str, target: Destination, stored: Sequence[OpenDelivery], wait_s: float
    ) -> float | None:
        uids = [s.stored.sop_instance_uid for s in stored]
        there = target.find(job.study_uid, uids) if target.find else None
        if there is None:
            log.warning("job %s: %s cannot be asked what it has", job.job_id, name)
            return wait_s
        now = self._clock()
        patience = timedelta(seconds=target.answer_within_s)
        lost = [
            s for s in stored if s.stored.sop_instance_uid not in there and s.stored_at and s.stored_at + patience < now
        ]
        again = {s.stored.sop_instance_uid: "stored, but not found there" for s in lost}
        if lost:
            log.warning("job %s to %s: %d objects stored, but not found there", job.job_id, name, len(lost))
        _tell(self._deliveries.confirm(job.job_id, name, there, again, now), self._observer, now)
        return self._open(job.job_id, name, wait_s)

    def _open(self, job_id: str, name: str, wait_s: float) -> float | None:
        return wait_s if self._deliveries.open(job_id, name) else None

    def _give_up(self, job: Job, name: str, why: str) -> None:
        log.error("job %s to %s: %s", job.job_id, name, why)
        for one in self._deliveries.open(job.job_id, name):
            self._observer.delivery(name, UNCONFIRMED if one.state is Delivered.STORED else Delivered.REFUSED)
        now = self._clock()
        _tell_end(self._deliveries.give_up(job.job_id, name, why, now), self._observer, now)


def with_one_root(objects: Sequence[StoredObject]) -> list[StoredObject]:
    """One study SR of several: that which refers to most, and to nothing that is not among the objects.

    Where each refers to something else, because the destination's settings changed since, that with the least of it.
    """
    own = {o.sop_instance_uid for o in objects}
    roots = [o for o in objects if o.kind == STUDY.kind]
    best = min(roots, key=lambda o: (len(set(o.refers_to) - own), -len(o.refers_to)), default=None)
    return [o for o in objects if o.kind != STUDY.kind or o is best]


def keep_report(report: Report, deliveries: Deliveries, observer: DeliveryObserver, now: datetime) -> bool:
    """Record a peer's answer to a commitment request, whichever process it reached; False if we never asked for it.

    OSError: it cannot be kept now.
    """
    why = {uid: f"not committed: {reason_in_words(reason)}" for uid, reason in report.failed.items()}
    meaning = {uid: consequence(reason) for uid, reason in report.failed.items()}
    again = {uid: text for uid, text in why.items() if meaning[uid] is Consequence.RESEND}
    refused = {uid: text for uid, text in why.items() if meaning[uid] is Consequence.REFUSED}
    try:
        confirmed = deliveries.report(report, again, refused, now)
    except SQLAlchemyError as error:
        raise OSError(f"the database does not answer ({type(error).__name__})") from error
    if confirmed is None:
        return False
    for text, count in Counter(why.values()).items():
        log.warning("job %s to %s: %d objects %s", confirmed.job.job_id, confirmed.destination, count, text)
    _tell(confirmed, observer, now)
    return True


def _tell(confirmed: Confirmed, observer: DeliveryObserver, now: datetime) -> None:
    """Nothing where nothing has changed: a report may come twice."""
    for state, _ in confirmed.outcomes:
        if state is not Delivered.COMMITTED:
            observer.delivery(confirmed.destination, UNCONFIRMED)
    if confirmed.outcomes:
        _tell_end(confirmed.job, observer, now)


def _tell_end(job: Job, observer: DeliveryObserver, now: datetime) -> None:
    if job.state is State.DELIVERED:
        log.info("job %s delivered", job.job_id)
        if job.acquired_at is not None and job.delivered_at == now:  # not what an operator wanted once more
            observer.delivered((now - job.acquired_at).total_seconds())


_STATES = {
    Verdict.STORED: Delivered.STORED,
    Verdict.TRANSIENT: Delivered.BUILT,
    Verdict.PERMANENT: Delivered.REFUSED,
}


def _delivery(stored: StoredObject, sent: StoreOutcome, give_up: bool) -> ObjectDelivery:
    """What one attempt means for one object; when the time for trying is over, it is refused."""
    state = _STATES[sent.verdict]
    if state is Delivered.BUILT and give_up:
        return ObjectDelivery(stored.sop_instance_uid, Delivered.REFUSED, sent.status, f"given up: {sent.message}")
    error = "" if state is Delivered.STORED else sent.message
    return ObjectDelivery(stored.sop_instance_uid, state, sent.status, error)
