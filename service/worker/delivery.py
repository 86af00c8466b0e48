"""One attempt to deliver a job to one destination: send what is not there, then make sure that it stays there.

Each object's state is in the database, so an attempt that is killed is taken up where it was. What is referred to goes
first, and nothing is sent that refers to what is not there.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from service.domain.delivery import ObjectDelivery, OpenDelivery
from service.domain.delivery_state import NOT_THERE, TO_SEND, Delivered
from service.domain.job import Job, StoredObject
from service.domain.job_state import SENDING
from service.domain.ports import Spool
from service.domain.work import Done, TryAgain, done_or_again
from service.errors import ThoracleError
from service.evidence.context import (
    MEASUREMENTS,
    NEEDED,
    is_segmentation,
    selects,
)
from service.network.send import StoreOutcome
from service.network.status import Verdict, is_warning
from service.store.deliveries import Deliveries, Instead
from service.store.jobs import Jobs
from service.worker.confirmation import Confirmation, tell_end
from service.worker.destination import DeliveryObserver, Target
from service.worker.study_reports import Observers
from service.worker.substitutes import other_root, other_style, style_refused
from service.worker_step import InternalError, worker_step

log = logging.getLogger(__name__)

WARNED = "warned"
"""What is counted, beside that it is stored, of an object that was stored with a warning."""


class Courier:
    """Delivers jobs to the destinations of this installation (port `domain.work.DeliveryWork`)."""

    def __init__(
        self,
        destinations: Mapping[str, Target],
        spool: Spool,
        jobs: Jobs,
        deliveries: Deliveries,
        observers: Observers[DeliveryObserver],
        clock: Callable[[], datetime],
    ) -> None:
        self._destinations = destinations
        self._spool = spool
        self._jobs = jobs
        self._deliveries = deliveries
        self._observer = observers.metrics
        self._reports = observers.reports
        self._clock = clock
        self._confirmation = Confirmation(deliveries, observers, clock)

    def deliver(self, job_id: str, destination: str, attempt: int) -> Done | TryAgain:
        """Make one attempt, counted from 1: send what the destination does not have yet, and have it confirmed."""
        return done_or_again(self._deliver(job_id, destination, attempt))

    def _deliver(self, job_id: str, name: str, attempt: int) -> float | None:
        """Seconds until the next attempt, None when nothing is open."""
        job = self._jobs.get(job_id)
        waiting = self._deliveries.open(job_id, name) if job.state in SENDING else []
        if not waiting:
            return None
        target = self._destinations.get(name)
        if target is None:
            self._forget(job, name, waiting)
            return None
        if any(w.confirm is not target.confirm for w in waiting):
            now = self._clock()
            tell_end(self._deliveries.follow(job_id, name, target.confirm, now), self._observer, now)
        waits = [self._send(job, name, target)]
        stored = [w for w in self._deliveries.open(job_id, name) if w.state is Delivered.STORED]
        if stored:
            waits.append(self._confirmation.seek(job, name, target, stored, attempt))
        return min((wait_s for wait_s in waits if wait_s is not None), default=None)

    def _send(self, job: Job, name: str, target: Target) -> float | None:
        """Seconds until what was not taken is to be sent again; None if nothing is.

        In rounds: what nothing stands in the way of, then what refers to it, also what goes out instead of something.
        """
        waits: list[float] = []
        tried: set[str] = set()
        while waiting := [w for w in self._to_send(job, name) if w.stored.sop_instance_uid not in tried]:
            states = self._deliveries.states(job.job_id, name)
            held = {w.stored.sop_instance_uid: why for w in waiting if (why := _held(w.stored, states, name))}
            ready = [w for w in waiting if w.stored.sop_instance_uid not in held]
            if not ready:
                withheld = {uid: one.error for uid, one in held.items() if one.state is Delivered.WITHHELD}
                instead = other_root(self._jobs.objects(job.job_id), withheld, states, target, tried)
                self._hold(job, name, held.values(), min(waits, default=target.policy.delays_s[0]), instead)
                if instead is None:
                    break
                continue
            tried.update(w.stored.sop_instance_uid for w in ready)
            if not self._deliveries.mark_sent(job.job_id, name, [w.stored.sop_instance_uid for w in ready]):
                return None
            if (wait_s := self._attempt(job, name, target, ready)) is not None:
                waits.append(wait_s)
        return min(waits, default=None)

    def _to_send(self, job: Job, name: str) -> list[OpenDelivery]:
        return [w for w in self._deliveries.open(job.job_id, name) if w.state in TO_SEND]

    def _attempt(self, job: Job, name: str, target: Target, waiting: Sequence[OpenDelivery]) -> float | None:
        """Send these; seconds until what was not taken of them is to be sent again, None if nothing is."""
        sent = self._sent(job, target, [w.stored for w in waiting])
        now = self._clock()
        wait_s = target.policy.wait_s(1 + max(w.attempts for w in waiting), now - min(w.since for w in waiting))
        instead = self._instead(job, target, waiting, sent, wait_s is None)
        replaced = instead.old if instead else ()
        outcomes = [_delivery(w.stored, one, wait_s is None, instead) for w, one in zip(waiting, sent, strict=True)]
        again = any(o.state is Delivered.BUILT and o.sop_instance_uid not in replaced for o in outcomes)
        next_at = now + timedelta(seconds=wait_s) if again and wait_s is not None else None
        after = self._deliveries.record(job.job_id, name, outcomes, now, next_at, instead)
        self._count(job, name, outcomes)
        tell_end(after, self._observer, now)
        return wait_s if again else None

    def _count(self, job: Job, name: str, outcomes: Sequence[ObjectDelivery]) -> None:
        for outcome in outcomes:
            if outcome.state is not Delivered.WITHDRAWN:
                self._observer.delivery(name, outcome.state)
            if outcome.status is not None and is_warning(outcome.status) and outcome.state is Delivered.STORED:
                self._observer.delivery(name, WARNED)
        for (state, error), count in Counter((o.state, o.error) for o in outcomes).items():
            if error:
                log.warning("job %s to %s: %d objects %s: %s", job.job_id, name, count, state, error)

    def _hold(
        self, job: Job, name: str, held: Iterable[ObjectDelivery], wait_s: float, instead: Instead | None
    ) -> None:
        """Note why these are not sent, and what is sent instead of one of them."""
        now = self._clock()
        outcomes = [_replaced(one, instead) for one in held]
        after = self._deliveries.record(job.job_id, name, outcomes, now, now + timedelta(seconds=wait_s), instead)
        self._count(job, name, [one for one in outcomes if one.state is not Delivered.BUILT])
        tell_end(after, self._observer, now)

    def _instead(
        self, job: Job, target: Target, waiting: Sequence[OpenDelivery], sent: Sequence[StoreOutcome], over: bool
    ) -> Instead | None:
        """What goes out where the destination does not take the style it should get; None where it does."""
        refused = [one for w, one in zip(waiting, sent, strict=True) if style_refused(w, one, target, over)]
        return other_style(self._jobs.objects(job.job_id), target, refused[0].message) if refused else None

    def _sent(self, job: Job, target: Target, objects: Sequence[StoredObject]) -> Sequence[StoreOutcome]:
        """One outcome per object. Storage that is away is no object's fault."""
        try:
            with worker_step(SQLAlchemyError), self._spool.local([o.path for o in objects]) as paths:
                self._reports.sending(job.study_uid, objects, target.peer, paths)
                outcomes = target.send(paths)
                self._reports.sent(job.study_uid, objects, target.peer, paths, outcomes)
                return outcomes
        except OSError as error:
            message = f"cannot be read ({error})"
        except InternalError as error:  # it is recorded, and ends when the time for trying is over
            message = f"not sent ({error})"
            log.error("%s\n%s", message, error.where)
        except ThoracleError as error:
            message = f"not sent ({error})"
        return [StoreOutcome(Path(o.path), "", Verdict.TRANSIENT, None, message) for o in objects]

    def _forget(self, job: Job, name: str, waiting: Sequence[OpenDelivery]) -> None:
        why = "the destination is no longer configured"
        log.error("job %s to %s: %s", job.job_id, name, why)
        for one in waiting:
            stored = one.state is Delivered.STORED
            self._observer.delivery(name, Delivered.UNCONFIRMED if stored else Delivered.REJECTED)
        now = self._clock()
        tell_end(self._deliveries.give_up(job.job_id, name, why, now), self._observer, now)


def _held(stored: StoredObject, states: Sequence[tuple[StoredObject, Delivered]], name: str) -> ObjectDelivery | None:
    """Reason why an object is not sent now, None if it is. Objects that are not to go there at all do not matter."""
    needed = [(o, s) for o, s in states if selects(NEEDED, o.kind) and _refers(stored, o)]
    for other, state in needed:
        if state in NOT_THERE:
            why = f"withheld: it refers to {other.kind}, which is {state} at {name}"
            return ObjectDelivery(stored.sop_instance_uid, Delivered.WITHHELD, None, why, tried=False)
    for other, state in needed:
        if state in TO_SEND:
            why = f"waits for {other.kind}, to which it refers"
            return ObjectDelivery(stored.sop_instance_uid, Delivered.BUILT, None, why, tried=False)
    return None


def _refers(one: StoredObject, other: StoredObject) -> bool:
    """Whether `one` points at `other`.

    Measurements always point at Segmentations. Where it is not recorded at which, as with results of before decision
    121, they point at those of their style.
    """
    if one.kind == MEASUREMENTS.kind and not one.refers_to:
        return is_segmentation(other.kind) and other.style == one.style
    return other.sop_instance_uid in one.refers_to


def _replaced(held: ObjectDelivery, instead: Instead | None) -> ObjectDelivery:
    """What is held, withdrawn if something else goes out instead of it."""
    if instead is None or held.sop_instance_uid not in instead.old:
        return held
    return replace(held, state=Delivered.WITHDRAWN, error=instead.why)


_STATES = {
    Verdict.STORED: Delivered.STORED,
    Verdict.UNCLEAR: Delivered.STORED,
    Verdict.TRANSIENT: Delivered.BUILT,
    Verdict.PERMANENT: Delivered.REJECTED,
}


def _delivery(stored: StoredObject, sent: StoreOutcome, give_up: bool, instead: Instead | None) -> ObjectDelivery:
    """What one attempt means for one object; when the time for trying is over, it is refused.

    Stored without a status is only what nobody understood (`Verdict.UNCLEAR`).
    """
    state = _STATES[sent.verdict]
    status = 0 if sent.verdict is Verdict.STORED and sent.status is None else sent.status
    if instead is not None and stored.sop_instance_uid in instead.old and state is not Delivered.STORED:
        return ObjectDelivery(stored.sop_instance_uid, Delivered.WITHDRAWN, status, instead.why)
    if state is Delivered.BUILT and give_up:
        return ObjectDelivery(stored.sop_instance_uid, Delivered.REJECTED, status, f"given up: {sent.message}")
    quiet = sent.verdict is Verdict.STORED and not (status is not None and is_warning(status))
    error = "" if quiet else sent.message
    return ObjectDelivery(stored.sop_instance_uid, state, status, error, sent_as=sent.sent_as)
