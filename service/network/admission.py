"""Decides which studies the receiver accepts: called before every C-STORE, updated once a second."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol
from weakref import WeakKeyDictionary

from service.domain.pressure import Cause, Marks, TurnedAway

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0


class PressureObserver(Protocol):
    """Reports what is refused."""

    def turned_away(self, cause: str, what: int) -> None:
        """Told at every look, also of what is not refused."""
        ...


class Admission:
    """Every method may be called from any thread. free_bytes, waiting, holds: OSError where it cannot be told now.

    free_bytes: space left. waiting: jobs that wait for their analysis. holds: whether images of a study are here.
    """

    def __init__(
        self,
        marks: Marks,
        free_bytes: Callable[[], float],
        waiting: Callable[[], int],
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
        self._looked_s = float("-inf")
        self._looking = threading.Lock()

    def admits(self, study_uid: str, instance_uid: str, association: object) -> bool:
        """May this image of a study be taken now? OSError where it cannot be told.

        A study that was refused is refused until its sender begins again, with the image that was refused first or on
        another association: else its first images would be missing.
        """
        self.look()
        what = max(self._turned_away.values())
        refused = self._refused.setdefault(association, {})
        if what is TurnedAway.NOTHING and refused.get(study_uid, instance_uid) == instance_uid:
            refused.pop(study_uid, None)
            return True
        if what is not TurnedAway.EVERYTHING and self._holds(study_uid):
            return True
        refused.setdefault(study_uid, instance_uid)
        return False

    def look(self) -> None:
        """Look how things are, unless somebody has within the last second."""
        if self._monotonic_s() - self._looked_s < _LOOK_EVERY_S or not self._looking.acquire(blocking=False):
            return
        try:
            free_bytes, waiting = self._free_bytes(), self._waiting() if self._marks.max_waiting else 0
        except OSError:  # what cannot be looked up cannot be written either: the sender is told by `Inbox.take`
            return
        else:
            disk, queue = self._turned_away[Cause.DISK], self._turned_away[Cause.QUEUE]
            self._note(Cause.DISK, self._marks.by_space(free_bytes, disk), f"{free_bytes / 1e9:.1f} GB are free")
            self._note(Cause.QUEUE, self._marks.by_queue(waiting, queue), f"{waiting} jobs wait for analysis")
        finally:
            self._looked_s = self._monotonic_s()
            self._looking.release()

    def _note(self, cause: Cause, what: TurnedAway, why: str) -> None:
        before, self._turned_away[cause] = self._turned_away[cause], what
        self._observer.turned_away(cause, what)
        if what > before:
            log.error("%s refused: %s", "new studies are" if what is TurnedAway.NEW_STUDIES else "every image is", why)
        elif what < before:
            log.warning("%s taken again: %s", "images of begun studies are" if what else "new studies are", why)
