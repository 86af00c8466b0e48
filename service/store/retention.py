"""Which studies may be purged, and their purge, one short transaction after the other.

    kept → given up → removed → forgotten

A study is given up in one transaction that looks once more whether it may be, and forgets the keys of its files, so
that copies elsewhere are unreadable too. From then on nothing refers to its files but the list of removals; a kill
leaves that list, and whoever comes next goes on with it. A file is removed in the transaction that takes it off the
list, with the study locked: what arrives meanwhile waits, and then sees what is left.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

import sqlalchemy as sa

from service.domain.audit_event import AuditEvent
from service.domain.delivery_state import Delivered
from service.domain.job_state import AT_REST, State
from service.domain.ports import Spool
from service.store.audit_outbox import keep
from service.store.deliveries import NEWEST
from service.store.engine import drop_log
from service.store.file_keys import delete_keys, forget_keys
from service.store.job_rows import lock_jobs
from service.store.journal import note
from service.store.names import RESULTS, results_folder, study_folder
from service.store.planning import STORED_FOR_GOOD
from service.store.shadows import Shadow
from service.store.tables import (
    commitments,
    deliveries,
    events,
    evidence,
    file_keys,
    instances,
    jobs,
    refusals,
    removals,
    reviews,
    series,
    shadows,
    studies,
)

_AT_ONCE = 100
"""Files removed in one transaction: no longer than receiving may wait for it."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """What a study had. images: received files; size_bytes: of them; jobs: whose results go."""

    images: int
    size_bytes: int
    jobs: int


class Retention:
    """The end of studies in the tables. Every method is idempotent; several workers may call it at once."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def due(self, before: datetime) -> list[str]:
        """Studies that have files, are done, and to which nothing happened since `before`; the longest quiet first."""
        with self._engine.begin() as connection:
            return list(connection.scalars(_due(before)))

    def jobs_of(self, study_uid: str) -> list[str]:
        """All jobs of a study."""
        with self._engine.begin() as connection:
            return list(connection.scalars(sa.select(jobs.c.job_id).where(jobs.c.study_uid == study_uid)))

    def a_file(self, study_uid: str) -> str | None:
        """The path of one received file of a study; None: it has none."""
        with self._engine.begin() as connection:
            any_of_it = sa.select(instances.c.path).where(instances.c.study_uid == study_uid).limit(1)
            found: str | None = connection.scalar(any_of_it)
        return found

    def give_up(
        self, study_uid: str, before: datetime, now: datetime, told: AuditEvent | None = None
    ) -> GivenUp | None:
        """Put all files of the study on the list of removals; None, and nothing is changed, if it is no longer due.

        told: the collector of audit messages is to hear this of it.
        """
        with self._engine.begin() as connection:
            _lock(connection, study_uid)
            lock_jobs(connection, study_uid)
            if connection.execute(_due(before).where(studies.c.study_uid == study_uid)).first() is None:
                return None
            if told is not None:
                keep(connection, told)
            return _give_up(connection, study_uid, now)

    def to_remove(self) -> list[str]:
        """Studies with files on the list of removals."""
        with self._engine.begin() as connection:
            return list(connection.scalars(sa.select(removals.c.study_uid).distinct().order_by(removals.c.study_uid)))

    def remove(self, study_uid: str, spool: Spool) -> bool:
        """Remove some files of a study that were given up; whether there were any. OSError: it cannot be done now."""
        with self._engine.begin() as connection:
            _lock(connection, study_uid)
            some = sa.select(removals).where(removals.c.study_uid == study_uid).limit(_AT_ONCE)
            listed = connection.execute(some).all()
            spool.remove(*(row.path for row in listed if row.job_id is None))
            for row in listed:
                if row.job_id is not None:
                    spool.remove_results(PurePosixPath(row.path).name)
            done = removals.c.path.in_([row.path for row in listed])
            connection.execute(sa.delete(removals).where(done))
            return bool(listed)

    def overdue(self, before: datetime | None) -> int:
        """Studies that could have gone `before`, or whose files are still to be removed; None: nothing ever goes."""
        return len({*self.to_remove(), *([] if before is None else self.due(before))})

    def past(self, purged_before: datetime) -> list[str]:
        """Studies that were purged before then, whose rows may go; the longest ago first."""
        with self._engine.begin() as connection:
            return list(connection.scalars(_past(purged_before)))

    def forget(self, study_uid: str, purged_before: datetime) -> bool:
        """Delete all rows of a study, the journal too; False, and nothing is changed, if it is not past."""
        with self._engine.begin() as connection:
            _lock(connection, study_uid)
            if connection.execute(_past(purged_before).where(studies.c.study_uid == study_uid)).first() is None:
                return False
            lock_jobs(connection, study_uid)
            delete_keys(connection, _owners(connection, study_uid))
            own_jobs = sa.select(jobs.c.job_id).where(jobs.c.study_uid == study_uid)
            for table in (commitments, deliveries, evidence, refusals, reviews, shadows):
                connection.execute(sa.delete(table).where(table.c.job_id.in_(own_jobs)))
            for table in (events, jobs, series, studies):
                connection.execute(sa.delete(table).where(table.c.study_uid == study_uid))
            return True

    def drop_log(self) -> bool:
        """Empty SQLite's -wal file where keys may be forgotten in it; whether none can be left there.

        Any process may have forgotten them, so this looks at no memory of its own.
        """
        with self._engine.begin() as connection:
            has_keys = connection.execute(sa.select(file_keys.c.key_id).limit(1)).first() is not None
        return not has_keys or drop_log(self._engine)


def _lock(connection: sa.Connection, study_uid: str) -> None:
    """Arrivals of the study, and operators who want a new job of it, wait until this transaction ends."""
    connection.execute(sa.select(studies.c.study_uid).where(studies.c.study_uid == study_uid).with_for_update()).all()


def _due(before: datetime) -> sa.Select[str]:
    """A study is done when its newest job has ended and everything of it is where it should be.

    Of earlier jobs nothing is sent any more, and none can be retried; one may only still be at work.
    """
    own = jobs.c.study_uid == studies.c.study_uid
    newest = own & NEWEST
    at_work = own & jobs.c.state.not_in((*AT_REST, State.FAILED)) | newest & (jobs.c.state == State.FAILED)
    unsettled = (
        newest
        & (jobs.c.state == State.REFUSED)
        & deliveries.c.state.not_in((Delivered.COMMITTED, Delivered.WITHDRAWN))
        & ~STORED_FOR_GOOD
    )
    received = (series.c.study_uid == studies.c.study_uid) & (series.c.last_received_at > before)
    happened = (events.c.study_uid == studies.c.study_uid) & (events.c.at > before)
    return (
        sa.select(studies.c.study_uid)
        .where(
            studies.c.kept,
            studies.c.revision == studies.c.job_revision,
            ~sa.exists().where(received),
            ~sa.exists().where(happened),
            ~sa.exists().where(at_work),
            ~sa.exists().where(deliveries.c.job_id == jobs.c.job_id, unsettled),
        )
        .order_by(studies.c.last_ct_at, studies.c.study_uid)
    )


def _past(purged_before: datetime) -> sa.Select[str]:
    listed = sa.exists().where(removals.c.study_uid == studies.c.study_uid)
    gone = ~studies.c.kept & (studies.c.purged_at < purged_before)
    return sa.select(studies.c.study_uid).where(gone, ~listed).order_by(studies.c.purged_at)


def _owners(connection: sa.Connection, study_uid: str) -> list[str]:
    """All whose files may be encrypted: the study, its jobs, and its shadow analyses."""
    own = connection.scalars(sa.select(jobs.c.job_id).where(jobs.c.study_uid == study_uid)).all()
    of_shadows = sa.select(shadows.c.results).where(shadows.c.job_id.in_(own))
    return [study_folder(study_uid), *map(results_folder, (*own, *connection.scalars(of_shadows)))]


def _give_up(connection: sa.Connection, study_uid: str, now: datetime) -> GivenUp:
    files = instances.c.study_uid == study_uid
    images, size_bytes = connection.execute(
        sa.select(sa.func.count(), sa.func.sum(instances.c.size_bytes)).where(files)
    ).one()
    received = sa.select(instances.c.path, instances.c.study_uid, sa.null()).where(files)
    with_results = (jobs.c.study_uid == study_uid) & jobs.c.purged_at.is_(None)
    results = sa.select(sa.literal(f"{RESULTS}/") + jobs.c.job_id, jobs.c.study_uid, jobs.c.job_id).where(with_results)
    path = sa.literal(f"{RESULTS}/") + shadows.c.results
    of_shadows = (
        sa.select(path, jobs.c.study_uid, jobs.c.job_id)
        .join(jobs, jobs.c.job_id == shadows.c.job_id)
        .where(with_results)
    )
    for listed in (received, results, of_shadows):
        connection.execute(sa.insert(removals).from_select(["path", "study_uid", "job_id"], listed))
    connection.execute(sa.delete(instances).where(files))
    forget_keys(connection, _owners(connection, study_uid), now)
    own_jobs = sa.select(jobs.c.job_id).where(jobs.c.study_uid == study_uid)
    in_shadow = shadows.c.job_id.in_(own_jobs) & (shadows.c.state == Shadow.WAITING)
    connection.execute(sa.update(shadows).where(in_shadow).values(state=Shadow.WITHDRAWN, at=now))
    ended = connection.execute(sa.update(jobs).where(with_results).values(purged_at=now, patient=None))
    this = studies.c.study_uid == study_uid
    connection.execute(sa.update(studies).where(this).values(kept=False, purged_at=now))
    had = GivenUp(images, int(size_bytes or 0), ended.rowcount)
    detail = f"{had.images} received files ({had.size_bytes / 1e6:.1f} MB) and the results of {had.jobs} jobs"
    note(connection, study_uid, None, "purge", detail, now)
    return had
