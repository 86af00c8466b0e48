"""The receiver's inbox: first the file on disk, then its row. Only then is the sender told."""

import logging
from datetime import datetime
from hashlib import sha256

from sqlalchemy.exc import DataError, SQLAlchemyError

from service.domain.arrival import Arrival, Unidentified, identify
from service.domain.ports import Spool
from service.store.engine import in_words
from service.store.file_keys import KeyForgotten, KeyUnknown
from service.store.intake import Recorded
from service.store.master_keys import NoMasterKey
from service.store.names import received
from service.store.records import Records

log = logging.getLogger(__name__)

_ABANDONED_AFTER_S = 3600.0
_TRIES = 3
"""A purge can forget a file's key between saving and recording it, then remove the file; a third time something is
wrong.
"""


class Inbox:
    """Keeps received instances in the spool and the records (port `service.domain.ports.Inbox`)."""

    def __init__(self, spool: Spool, records: Records) -> None:
        self._spool = spool
        self._records = records

    def take(self, arrival: Arrival) -> None:
        digest = sha256(arrival.content).hexdigest()
        for _ in range(_TRIES):
            path = self._spool.save(arrival.identity, arrival.content, digest)
            try:
                recorded = self._records.record(arrival, path, digest, self._spool.is_there)
            except DataError as error:  # a value that no column takes: the database is none the worse for it
                raise Unidentified(f"it cannot be recorded ({type(error.orig).__name__})") from error
            except SQLAlchemyError as error:
                raise OSError(in_words(error)) from error
            if recorded is not Recorded.GONE:
                return
        raise OSError("the study is being purged")

    def reconcile(self, now: datetime) -> int:
        """At start: record files that have no row, as after a power cut. Returns how many.

        Their sender is not known, until one sends an image of the series: so a file that another receiver has saved
        and is about to record gets its sender. Damaged ones were never acknowledged and are removed; encrypted ones
        without a key stay where they are, for it may be in another database.
        """
        self._spool.remove_parts(_ABANDONED_AFTER_S, now.timestamp())
        unknown = set(self._spool.received()) - self._records.paths()
        return sum(self._recover(path, now) for path in sorted(unknown))

    def _recover(self, path: str, now: datetime) -> bool:
        try:
            content = self._spool.read(path)
            is_ours = content is None or self._spool.may_be_found(path)
        except (KeyForgotten, KeyUnknown, NoMasterKey) as error:
            log.error("a file is left where it is, it cannot be read: %s: %s", path, error)
            return False
        except FileNotFoundError:  # purged since it was listed
            return False
        if content is None:
            if self._spool.remove_damaged(path):
                log.warning("removed a file that a power cut has damaged: %s", path)
            return False
        try:
            identity = identify(content)
        except Unidentified as error:
            log.error("a file is left where it is, it cannot be recorded: %s: %s", path, error)
            return False
        digest = sha256(content).hexdigest()
        if not is_ours or received(identity, digest) != path:
            log.error("a file is left where it is, this service has not saved it: %s", path)
            return False
        arrival = Arrival(identity, "", "", "", self._spool.saved_at(path), content)
        recorded = self._records.record(arrival, path, digest, self._spool.is_there, now)
        return recorded is not Recorded.GONE
