"""Where earlier results come from: a port, of which this service's own records, an archive or a folder are kinds."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from service.domain.analysis import Analysis
from service.domain.pipeline import Pipeline
from service.domain.prior import Patient
from service.errors import ThoracleError


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which earlier results are asked for: of this patient, by this pipeline, of other studies than this one.

    analysis: the present result. acquired_at: local time of the CT that is analysed. as_of: results count that were
    there then, aware; a second run of the same job finds the same.
    """

    patient: Patient
    study_uid: str
    pipeline: Pipeline
    analysis: Analysis
    acquired_at: datetime
    as_of: datetime


@dataclass(frozen=True, slots=True)
class PriorFiles:
    """The files of an earlier result by name. remarks: what its keeper knows of it besides, in sentences.
    overridden: what a reviewer has said in place of its headline, in words; "" if it stands."""

    files: Mapping[str, Path]
    remarks: tuple[str, ...] = ()
    overridden: str = ""


NOT_THE_ARCHIVE = "The archive was not asked whether it has a later CT of the patient."
"""A remark of a result of this service, where an archive could be asked."""


class NotAsked(ThoracleError):
    """Earlier results could not be asked for; the text says why, and is safe to print."""


class Purged(ThoracleError):
    """An earlier result was there when it was looked for, and is no more."""


class Priors(Protocol):
    """Earlier results of a patient."""

    def candidates(self, wanted: Wanted) -> Iterator[AbstractContextManager[PriorFiles]]:
        """The files of earlier results, as contexts in which they are there; the latest acquisition first.

        May hold some of other patients, later CTs or of the study itself: whoever asks looks. NotAsked, also later on.
        """
        ...


@dataclass(frozen=True, slots=True)
class Several:
    """The earlier results of several sources, one source after the other: this service first, then the archive."""

    sources: Sequence[Priors]

    def candidates(self, wanted: Wanted) -> Iterator[AbstractContextManager[PriorFiles]]:
        """Those of the first source first; each says that the sources behind it were not asked."""
        for number, source in enumerate(self.sources, 1):
            for candidate in source.candidates(wanted):
                yield candidate if number == len(self.sources) else _remarked(candidate, NOT_THE_ARCHIVE)


@contextmanager
def _remarked(candidate: AbstractContextManager[PriorFiles], remark: str) -> Iterator[PriorFiles]:
    with candidate as held:
        yield replace(held, remarks=(*held.remarks, remark))


def is_within(acquired_at: datetime, wanted: Wanted, most_years: float) -> bool:
    """Whether an acquisition is at least a day, and at most so many years, before the one that is analysed."""
    before = wanted.acquired_at - acquired_at
    return acquired_at.date() < wanted.acquired_at.date() and before <= timedelta(days=365.25 * most_years)
