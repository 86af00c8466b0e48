"""What has changed since an earlier CT of the patient, as the encoders tell it. Nothing here knows a pipeline.

Numbers are compared as they were told, rounded: whoever subtracts them on paper finds the same change.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydicom.sr.coding import Code

from service.domain import codes
from service.domain.rounding import rounded, rounding_error

DAYS_PER_YEAR = 365.25

LEAST_DAYS_PER_YEAR = 90
"""From so many days on a change per year is told: from fewer it would mostly be error, multiplied."""

GROWN = 1.25
"""A volume has grown, or shrunk by the inverse, from this ratio on: smaller changes of nodules are error of measurement
(van Klaveren 2009, NELSON; Callister 2015, BTS guideline)."""

LEAST_DAYS_DOUBLING = 90
"""From so many days on a volume doubling time is told: nodules are measured again after three months (NELSON, van
Klaveren 2009; Callister 2015, BTS guideline), and from fewer days an error of measurement reads as a fast tumour."""

_RATIO_SCALES = (codes.MILLILITRE, codes.MILLIMETRE)
"""Units whose change is also told in percent of the earlier value."""


@dataclass(frozen=True, slots=True)
class Change:
    """One measurement then and now.

    group, measurement: names in result.json. title: for people. concept: of the measurement now, None where it is not
    told now. then, now: as told, rounded; None where not told. days: between the two CTs. why_not: why no change is
    told, in words; "" where it is.
    """

    group: str
    measurement: str
    title: str
    unit: Code
    then: float | None
    now: float | None
    days: int
    concept: Code | None = None
    derivation: Code | None = None
    why_not: str = ""

    @property
    def change(self) -> float | None:
        """Now minus then, in the unit; None where one is missing or they must not be compared."""
        if self.then is None or self.now is None or self.why_not:
            return None
        return rounded(self.now - self.then, self.unit)

    @property
    def per_year(self) -> float | None:
        """The change per year; None also of CTs less than `LEAST_DAYS_PER_YEAR` apart."""
        if self.change is None or self.days < LEAST_DAYS_PER_YEAR:
            return None
        return rounded(self.change / self.days * DAYS_PER_YEAR, self.unit)

    @property
    def percent(self) -> float | None:
        """The change in percent of the earlier value, of volumes and lengths above 0."""
        if self.change is None or not self.then or self.unit not in _RATIO_SCALES:
            return None
        return rounded(100.0 * self.change / self.then, codes.PERCENT)


class Match(StrEnum):
    """What became of a finding, by its position in both CTs."""

    MATCHED = "matched"
    NEW = "new"
    GONE = "gone"
    BESIDE = "beside"
    TOGETHER = "together"
    OUTSIDE = "outside"
    UNKNOWN = "unknown"

    @property
    def words(self) -> str:
        """For people, as its code means."""
        meaning = str(codes.MATCHES[self].meaning)
        return meaning[0].lower() + meaning[1:]


@dataclass(frozen=True, slots=True)
class FindingChange:
    """One finding then and now. now, then: its names in the two results, None where it is not in one.

    title: for people. numbers: of a matched finding. volume: that of `numbers` which is a volume in mL, if any.
    """

    title: str
    match: Match
    now: str | None
    then: str | None
    numbers: tuple[Change, ...] = ()

    @property
    def volume(self) -> Change | None:
        return next((one for one in self.numbers if one.concept == codes.VOLUME), None)

    @property
    def is_too_small(self) -> bool:
        """Whether rounding alone may make of equal volumes a change as large as `GROWN`: then no growth is told."""
        found = self.volume
        if found is None or found.change is None or not found.then or found.now is None:
            return False
        least = min(found.then, found.now)
        error = rounding_error(least, found.unit)
        return least - error <= 0.0 or (least + error) / (least - error) >= GROWN

    @property
    def has_grown(self) -> bool | None:
        """Whether the volume rose by more than what measuring and rounding may add; None where that is not known, as
        of a small volume unless it rose by more."""
        found = self.volume
        if found is None or found.change is None or not found.then or found.now is None:
            return None
        least = found.now - rounding_error(found.now, found.unit)
        if least >= GROWN * (found.then + rounding_error(found.then, found.unit)):
            return True
        return None if self.is_too_small else False

    @property
    def has_shrunk(self) -> bool | None:
        """Whether the volume fell by more than what measuring and rounding may take; None where that is not known, as
        of a small volume unless it fell by more."""
        found = self.volume
        if found is None or found.change is None or not found.then or found.now is None:
            return None
        most = found.now + rounding_error(found.now, found.unit)
        if most * GROWN <= found.then - rounding_error(found.then, found.unit):
            return True
        return None if self.is_too_small else False

    @property
    def doubling_days(self) -> int | None:
        """Volume doubling time in whole days, by exponential growth (Schwartz 1961); None without growth, and of CTs
        less than `LEAST_DAYS_DOUBLING` apart."""
        found = self.volume
        if not self.has_grown or found is None or not found.then or found.now is None:
            return None
        if found.days < LEAST_DAYS_DOUBLING:
            return None
        return round(found.days * math.log(2) / math.log(found.now / found.then))

    @property
    def growth_words(self) -> str:
        """What became of its volume; "" where that is not known."""
        if (days := self.doubling_days) is not None:
            return f"volume doubling time {days} days"
        if self.has_grown:
            return f"volume larger; doubling time is told from {LEAST_DAYS_DOUBLING} days on"
        if self.has_shrunk:
            return "volume smaller"
        if self.is_too_small:
            return "volume too small to tell growth"
        return "" if self.has_grown is None else "volume change within measurement error (25 %)"


@dataclass(frozen=True, slots=True)
class PriorObject:
    """An object of the earlier result that a report refers to. kind: as in `evidence.context`."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What has changed since the latest earlier CT.

    study_uid, series_uid: of the earlier CT. acquired: when, as local time of its scanner. days: between the CTs.
    result: the earlier pipeline, its version and the number of its result. headline: of it, in words. objects: of it.
    overlap: Dice of the lungs of both CTs once they were registered, 0 to 1; None where nothing had to be.
    remarks: what a reader must know with the numbers, in sentences.
    """

    study_uid: str
    series_uid: str
    acquired: datetime
    days: int
    result: str
    headline: str
    numbers: tuple[Change, ...] = ()
    findings: tuple[FindingChange, ...] = ()
    overlap: float | None = None
    remarks: tuple[str, ...] = ()
    objects: tuple[PriorObject, ...] = ()

    @property
    def title(self) -> str:
        """ "Compared with 2023-05-01 (366 days earlier)"."""
        return f"Compared with {self.acquired:%Y-%m-%d} ({self.days} {'day' if self.days == 1 else 'days'} earlier)"

    @property
    def changes(self) -> Iterator[Change]:
        """Every number, those of findings too."""
        yield from self.numbers
        for one in self.findings:
            yield from one.numbers
