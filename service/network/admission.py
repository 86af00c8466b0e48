"""Decides which studies the receiver accepts: called before every C-STORE, updated once a second."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol
from weakref import WeakKeyDictionary

from service.domain.arrival import Identity
from service.domain.pressure import Cause, Marks, TurnedAway
from service.domain.priority import Urgency

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_MOST_REFUSED = 10_000
"""Refused studies of one association; after so many it gets no new study taken until it begins again."""

_NEW = dict.fromkeys(Cause, "new studies are") | {Cause.SENDER: "new studies of some senders are"}


class PressureObserver(Protocol):
    """Reports what is refused."""

    def turned_away(self, cause: str, what: int) -> None:
        """Told at every look, also of what is not refused."""
        ...


class Admission:
    """Every method may be called from any thread. free_bytes, waiting, holds: OSError where it cannot be told now.

    free_bytes: space left. waiting: jobs that wait for their analysis, by sender. holds: whether images of a study are
    here.
    """

    def __init__(
        self,
        marks: Marks,
        free_bytes: Callable[[], float],
        waiting: Callable[[], Mapping[str, int]],
        holds: Callable[[str], bool],
        observer: PressureObserver,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._marks = marks
        self._free_bytes = free_bytes
        self._waiting = waiting
        self._holds = holds
        self._observer = observer
        self._monotonic_s = monotonic_s
        self._turned_away = dict.fromkeys(Cause, TurnedAway.NOTHING)
        self._refused: WeakKeyDictionary[object, dict[str, str]] = WeakKeyDictionary()
        self._of_sender: Mapping[str, TurnedAway] = {}
        self._looked_s = float("-inf")
        self._looking = threading.Lock()

    def admits(self, image: Identity, sender: str, association: object) -> bool:
        """May this image of a study be taken now? OSError where it cannot be told. sender: its calling AE title.

        A study that was refused is refused until its sender begins again, with the image that was refused first or on
        another association: else its first images would be missing.
        """
        self.look()
        study_uid, instance_uid = image.study_uid, image.sop_instance_uid
        what = max(self._turned_away[Cause.DISK], self._by_queue(sender, image.urgency))
        refused = self._refused.setdefault(association, {})
        known = study_uid in refused or len(refused) < _MOST_REFUSED
        if what is TurnedAway.NOTHING and known and refused.get(study_uid, instance_uid) == instance_uid:
            refused.pop(study_uid, None)
            return True
        if what is not TurnedAway.EVERYTHING and self._holds(study_uid):
            return True
        if known:
            refused.setdefault(study_uid, instance_uid)
        return False

    def _by_queue(self, sender: str, urgency: Urgency) -> TurnedAway:
        """What the queue leaves to this sender."""
        share, queue = self._of_sender.get(sender, TurnedAway.NOTHING), self._turned_away[Cause.QUEUE]
        return min(share, queue) if urgency is Urgency.STAT else max(share, queue)

    def look(self) -> None:
        """Look how things are, unless somebody has within the last second."""
        if self._monotonic_s() - self._looked_s < _LOOK_EVERY_S or not self._looking.acquire(blocking=False):
            return
        try:
            free_bytes, of_sender = self._free_bytes(), self._waiting() if self._marks.counts_jobs else {}
        except OSError:  # what cannot be looked up cannot be written either: the sender is told by `Inbox.take`
            return
        else:
            waiting, before = sum(of_sender.values()), self._of_sender
            shares = {
                sender: self._marks.by_sender(count, before.get(sender, TurnedAway.NOTHING))
                for sender, count in of_sender.items()
            }
            self._of_sender = {sender: share for sender, share in shares.items() if share}
            disk, queue = self._turned_away[Cause.DISK], self._turned_away[Cause.QUEUE]
            self._note(Cause.DISK, self._marks.by_space(free_bytes, disk), f"{free_bytes / 1e9:.1f} GB are free")
            of_one = ", ".join(
                f"{count} jobs of {sender} wait" for sender, count in of_sender.items() if shares[sender]
            )
            self._note(Cause.SENDER, max(shares.values(), default=TurnedAway.NOTHING), of_one)
            self._note(Cause.QUEUE, self._marks.by_queue(waiting, queue), f"{waiting} jobs wait for analysis")
        finally:
            self._looked_s = self._monotonic_s()
            self._looking.release()

    def _note(self, cause: Cause, what: TurnedAway, why: str) -> None:
        before, self._turned_away[cause] = self._turned_away[cause], what
        self._observer.turned_away(cause, what)
        if what > before:
            log.error("%s refused: %s", _NEW[cause] if what is TurnedAway.NEW_STUDIES else "every image is", why)
        elif what < before:
            log.warning("%s taken again: %s", "images of begun studies are" if what else _NEW[cause], why)
