"""What a worker reports to the hospital's collector of audit messages: what it reads, sends, asks and deletes."""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

from pydicom import Dataset
from pynetdicom.dsutils import encode

from service.domain import audit_event as events
from service.domain.arrival import patient_id
from service.domain.audit_event import AuditEvent, Outcome, Participant, Subject
from service.domain.job import StoredObject
from service.network.send import StoreOutcome
from service.network.status import Verdict
from service.store.audit_outbox import AuditOutbox

T = TypeVar("T", covariant=True)


@dataclass(frozen=True, slots=True)
class Observers(Generic[T]):
    """Who hears of what a worker does: metrics of this service, and the hospital's collector of audit messages."""

    metrics: T
    reports: "StudyReports"


class StudyReports:
    """Raises SQLAlchemyError where an event cannot be kept: what it tells of is done again."""

    def __init__(self, outbox: AuditOutbox | None, us: Participant, clock: Callable[[], datetime]) -> None:
        """outbox: None: nobody is told."""
        self._outbox = outbox
        self._us = us
        self._clock = clock

    def read(self, study_uid: str, paths: Sequence[Path]) -> None:
        """A study is about to be analysed. paths: of its images, on this machine."""
        self._tell(lambda: events.accessed(self._us, self._about(study_uid, {}, paths), self._clock()))

    def sending(self, study_uid: str, objects: Sequence[StoredObject], to: Participant, paths: Sequence[Path]) -> None:
        """Results are about to be sent."""
        classes = Counter(one.sop_class_uid for one in objects)
        self._tell(lambda: events.transferring(self._us, to, self._about(study_uid, classes, paths), self._clock()))

    def sent(
        self,
        study_uid: str,
        objects: Sequence[StoredObject],
        to: Participant,
        paths: Sequence[Path],
        outcomes: Sequence[StoreOutcome],
    ) -> None:
        """Results were sent: one event of those that arrived, and one of those that did not."""
        stored = [one.verdict in (Verdict.STORED, Verdict.UNCLEAR) for one in outcomes]
        for arrived, outcome in ((True, Outcome.SUCCESS), (False, Outcome.MINOR_FAILURE)):
            of_these = [one for one, is_stored in zip(objects, stored, strict=True) if is_stored is arrived]
            some = Counter(one.sop_class_uid for one in of_these)
            why = "; ".join(sorted({one.message for one in outcomes if one.message})) if not arrived else ""
            if some:
                about = self._about(study_uid, some, paths)
                self._tell(lambda o=outcome, a=about, w=why: self._sent(to, a, o, w))  # type: ignore[misc]

    def asking(self, study_uid: str, whom: Participant) -> None:
        """An archive is about to be asked what it has of a study: series by series, or over the web all at once."""
        query = Dataset()
        query.QueryRetrieveLevel, query.StudyInstanceUID, query.SeriesInstanceUID = "SERIES", study_uid, ""
        by_dimse = encode(query, is_implicit_vr=True, is_little_endian=True) or b""
        said = by_dimse if whom.ae_title else f"{whom.address}/studies/{study_uid}/instances".encode()
        self._tell(lambda: events.asked(self._us, whom, b64encode(said).decode(), self._clock(), study_uid))

    def asking_for_earlier(self, study_uid: str, whom: Participant) -> None:
        """An archive is about to be asked for earlier results of a patient. study_uid: of the CT that is analysed.

        The patient's ID, by which it is asked, stands in the event of the images that were read."""
        said = f"{whom.address}/studies?PatientID=".encode()
        self._tell(lambda: events.asked(self._us, whom, b64encode(said).decode(), self._clock(), study_uid))

    def deletion(self, study_uid: str, patient_id: str) -> AuditEvent | None:
        """What is to be kept together with the deletion of a study's files; None: nobody is told."""
        if self._outbox is None:
            return None
        return events.study_deleted(self._us, study_uid, patient_id, self._clock())

    def _sent(self, to: Participant, about: tuple[Subject, ...], outcome: Outcome, why: str) -> AuditEvent:
        return events.sent(self._us, to, about, self._clock(), outcome, why)

    def _tell(self, event: Callable[[], AuditEvent]) -> None:
        if self._outbox is not None:
            self._outbox.put(event())

    def _about(self, study_uid: str, classes: dict[str, int], paths: Sequence[Path]) -> tuple[Subject, ...]:
        return events.study(study_uid, dict(classes)), events.patient(_whose(paths))


def _whose(paths: Sequence[Path]) -> str:
    """Patient ID in the first file; "" where it cannot be read."""
    try:
        with paths[0].open("rb") as file:
            return patient_id(file)
    except (OSError, IndexError):
        return ""
