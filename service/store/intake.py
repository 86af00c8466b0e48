"""One received instance becomes rows: study, series, instance. Runs inside a transaction of `Records`.

A study whose files were purged begins anew with whatever comes next: nothing of what was there counts any more.
"""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from service.domain.arrival import Arrival, Identity, is_other_image
from service.domain.priority import Urgency, most_urgent
from service.store.engine import insert_or_nothing
from service.store.file_keys import key_in_use
from service.store.journal import note
from service.store.names import owner
from service.store.purged_jobs import saw_no_ct
from service.store.tables import instances, jobs, removals, series, studies

# What runs for every image is built once: building statements took a quarter of the receiver's time.
_STUDY = studies.c.study_uid == sa.bindparam("study")
_SERIES = (series.c.study_uid == sa.bindparam("study")) & (series.c.series_uid == sa.bindparam("in_series"))
_INSTANCE = (
    (instances.c.study_uid == sa.bindparam("study"))
    & (instances.c.series_uid == sa.bindparam("in_series"))
    & (instances.c.sop_instance_uid == sa.bindparam("instance"))
)
_GIVEN_UP = sa.select(removals.c.path).where(removals.c.path == sa.bindparam("file"))
_LOCKED_STUDY = sa.select(studies).where(_STUDY).with_for_update()
_KNOWN_SERIES = sa.select(series).where(_SERIES)
_VERSIONS = sa.select(instances).where(_INSTANCE)
_UPDATE_STUDY = sa.update(studies).where(_STUDY)
_UPDATE_SERIES = sa.update(series).where(_SERIES)
_CT_OF_STUDY = (
    sa.select(instances.c.path)
    .where(instances.c.study_uid == sa.bindparam("study"), instances.c.ignored.is_(None))
    .limit(1)
)
_INSERT_INSTANCE = sa.insert(instances)


_LOOK_AGAIN_AFTER_S = 1.0
"""Images of another kind come by the thousand; one of them in a second is looked at."""


IsThere = Callable[[str, str | None], bool]
"""Whether a received file is there, plain or encrypted with the key of this id (`Spool.is_there`)."""


class Recorded(StrEnum):
    """What an arrival meant."""

    NEW = "new"
    DUPLICATE = "duplicate"
    REPLACED = "replaced"
    OUTDATED = "outdated"
    GONE = "gone"


def is_given_up(connection: sa.Connection, path: str) -> bool:
    """Whether a purge is about to remove the file."""
    return connection.execute(_GIVEN_UP, {"file": path}).first() is not None


def intake(
    connection: sa.Connection,
    arrival: Arrival,
    path: str,
    digest: str,
    is_there: IsThere,
    found_at: datetime | None = None,
) -> Recorded:
    """Record one file. A new or changed CT image raises its study's revision.

    So does the first image of another kind, where nothing has come before that could be analysed, or all of that was
    purged: such a study is refused by name. Reports and other results never do.

    found_at: when a file that had no row was found in the spool; None for what a sender sends now.
    GONE, and nothing is recorded, if a purge has removed the file, or forgotten its key, since it was saved.
    """
    study, is_new = _open_study(connection, arrival)
    if (is_new or study.purged_at is not None) and not is_there(path, key_in_use(connection, owner(path))):
        if is_new:  # it was purged and forgotten since the file was saved
            connection.execute(sa.delete(studies).where(studies.c.study_uid == study.study_uid))
        return Recorded.GONE
    if study.purged_at is not None:
        connection.execute(sa.delete(removals).where(removals.c.path == path))
    if not study.kept:
        _begin_anew(connection, study, arrival)
    _note_series(connection, arrival)
    if arrival.calling_ae and not study.calling_ae:
        connection.execute(_UPDATE_STUDY, {"study": study.study_uid, "calling_ae": arrival.calling_ae})
    outcome = _note_instance(connection, arrival, path, digest, may_be_old=found_at is not None)
    if outcome is Recorded.DUPLICATE:
        connection.execute(_UPDATE_SERIES.values(duplicates=series.c.duplicates + 1), _key(arrival.identity))
    if arrival.identity.ignored is None:
        changed = outcome in (Recorded.NEW, Recorded.REPLACED)
        _note_ct(connection, study, arrival, found_at or arrival.received_at, changed)
    elif is_other_image(arrival.identity.sop_class_uid):
        _note_other_image(connection, study, arrival, found_at or arrival.received_at)
    return outcome


def _open_study(connection: sa.Connection, arrival: Arrival) -> tuple[sa.Row[Any], bool]:
    """The study's row, locked, and whether it is new: arrivals of one study are recorded one after the other."""
    uid = arrival.identity.study_uid
    known = connection.execute(_LOCKED_STUDY, {"study": uid}).one_or_none()
    if known is not None:
        return known, False
    row = {"study_uid": uid, "calling_ae": arrival.calling_ae, "revision": 0, "job_revision": 0}
    row |= {"urgency": Urgency.ROUTINE, "kept": True}
    insert = insert_or_nothing(connection, studies).values(row)
    is_new = connection.execute(insert.returning(studies.c.study_uid)).first() is not None
    return connection.execute(_LOCKED_STUDY, {"study": uid}).one(), is_new


def _begin_anew(connection: sa.Connection, study: sa.Row[Any], arrival: Arrival) -> None:
    connection.execute(_UPDATE_STUDY, {"study": study.study_uid, "kept": True})
    detail = f"the earlier images were purged on {study.purged_at:%Y-%m-%d}: what comes now is judged without them"
    note(connection, study.study_uid, None, "begin anew", detail, arrival.received_at)


def _note_series(connection: sa.Connection, arrival: Arrival) -> None:
    identity = arrival.identity
    known = connection.execute(_KNOWN_SERIES, _key(identity)).one_or_none()
    if known is None:
        connection.execute(
            sa.insert(series).values(
                **_sender(arrival),
                study_uid=identity.study_uid,
                series_uid=identity.series_uid,
                modality=identity.modality,
                first_received_at=arrival.received_at,
                last_received_at=arrival.received_at,
                acquired_at=identity.acquired_at,
                duplicates=0,
            )
        )
        what = f"first image of a series, modality {identity.modality or 'unknown'}, from {arrival.calling_ae}"
        note(connection, identity.study_uid, None, "receive", what, arrival.received_at)
        return
    acquired = [t for t in (known.acquired_at, identity.acquired_at) if t is not None]
    latest = {
        "last_received_at": max(known.last_received_at, arrival.received_at),
        "acquired_at": max(acquired, default=None),
    }
    if arrival.calling_ae and not known.calling_ae:  # so far there were only files that a start has found
        latest |= _sender(arrival)
        note(
            connection,
            identity.study_uid,
            None,
            "receive",
            f"a series is from {arrival.calling_ae}",
            arrival.received_at,
        )
    connection.execute(_UPDATE_SERIES, _key(identity) | latest)


def _sender(arrival: Arrival) -> dict[str, str]:
    return {
        "calling_ae": arrival.calling_ae,
        "called_ae": arrival.called_ae,
        "peer_address": arrival.peer_address,
    }


def _key(identity: Identity) -> dict[str, str]:
    return {"study": identity.study_uid, "in_series": identity.series_uid}


def _note_instance(connection: sa.Connection, arrival: Arrival, path: str, digest: str, may_be_old: bool) -> Recorded:
    """The newest bytes of a SOP Instance UID count; older ones stay recorded as replaced.

    What comes now is the newest, whatever the clock says; only of a file that was found the times must tell.
    """
    this = _key(arrival.identity) | {"instance": arrival.identity.sop_instance_uid}
    versions = connection.execute(_VERSIONS, this).all()
    current = next((v for v in versions if v.replaced_at is None), None)
    if current is not None and current.sha256 == digest:
        return Recorded.DUPLICATE
    outdated = may_be_old and current is not None and current.received_at > arrival.received_at
    values = {
        "path": path,
        "received_at": arrival.received_at,
        "replaced_at": current.received_at if current is not None and outdated else None,
    }
    if current is not None and not outdated:
        replaced = sa.update(instances).where(_INSTANCE, instances.c.replaced_at.is_(None))
        connection.execute(replaced, this | {"replaced_at": arrival.received_at})
    if any(v.sha256 == digest for v in versions):
        connection.execute(sa.update(instances).where(_INSTANCE, instances.c.sha256 == digest), this | values)
    else:
        connection.execute(_INSERT_INSTANCE, values | _facts(arrival, digest))
    if outdated:
        return Recorded.OUTDATED
    return Recorded.NEW if current is None else Recorded.REPLACED


def _facts(arrival: Arrival, digest: str) -> dict[str, Any]:
    identity = arrival.identity
    return {
        "study_uid": identity.study_uid,
        "series_uid": identity.series_uid,
        "sop_instance_uid": identity.sop_instance_uid,
        "sha256": digest,
        "sop_class_uid": identity.sop_class_uid,
        "transfer_syntax_uid": identity.transfer_syntax_uid,
        "size_bytes": len(arrival.content),
        "ignored": identity.ignored,
    }


def _note_ct(connection: sa.Connection, study: sa.Row[Any], arrival: Arrival, at: datetime, changed: bool) -> None:
    """Restart the quiet period (also for a resent image: its sender is still at work)."""
    connection.execute(
        _UPDATE_STUDY,
        {
            "study": study.study_uid,
            "last_ct_at": at,
            "calling_ae": arrival.calling_ae or study.calling_ae,
            "revision": study.revision + changed,
            "urgency": most_urgent(Urgency(study.urgency), arrival.identity.urgency),
        },
    )


def _note_other_image(connection: sa.Connection, study: sa.Row[Any], arrival: Arrival, at: datetime) -> None:
    """Restart the quiet period of a study that has had no CT image and no job; others are none the worse for it.

    A job without CT whose images were purged does not count: the study begins anew.
    """
    changes = study.revision - study.job_revision
    if changes > 1 or (changes == 0 and study.job_revision and not _was_without_ct(connection, study)):
        return
    if changes == 1:
        just_now = 0 <= (at - study.last_ct_at).total_seconds() < _LOOK_AGAIN_AFTER_S
        if just_now or connection.execute(_CT_OF_STUDY, {"study": study.study_uid}).first() is not None:
            return
    calling_ae = arrival.calling_ae or study.calling_ae
    values = {"study": study.study_uid, "last_ct_at": at, "calling_ae": calling_ae, "revision": study.job_revision + 1}
    connection.execute(_UPDATE_STUDY, values)


def _was_without_ct(connection: sa.Connection, study: sa.Row[Any]) -> bool:
    """Whether the latest job of the study was purged, and saw no CT image."""
    if study.purged_at is None:
        return False
    latest = (jobs.c.study_uid == study.study_uid) & (jobs.c.revision == study.job_revision)
    job_id = connection.scalar(sa.select(jobs.c.job_id).where(latest, jobs.c.purged_at.is_not(None)))
    return job_id is not None and saw_no_ct(connection, job_id)
