"""Reasons and errors: refusals by name, temporary errors, and final errors.

`Rejected` is about the CT (a refusal a radiologist can read), `Transient` and `Permanent` are about the
machinery around it. Errors are classified where they arise, with `raise ... from exc`.
"""

from dataclasses import dataclass
from enum import StrEnum
from errno import EINVAL
from traceback import format_tb


class Reason(StrEnum):
    """Reason codes of the eligibility gate; the value is the code shown to people and machines."""

    NOT_CT = "NOT_CT"
    LOCALIZER = "LOCALIZER"
    DERIVED = "DERIVED"
    DOSE_REPORT = "DOSE_REPORT"
    NOT_AXIAL = "NOT_AXIAL"
    TILT = "TILT"
    MIXED_ORIENTATION = "MIXED_ORIENTATION"
    MIXED_GEOMETRY = "MIXED_GEOMETRY"
    DUPLICATE_POSITION = "DUPLICATE_POSITION"
    MULTIPHASE = "MULTIPHASE"
    MIXED_PATIENTS = "MIXED_PATIENTS"
    MIXED_SERIES = "MIXED_SERIES"
    IRREGULAR_SPACING = "IRREGULAR_SPACING"
    MISSING_SLICES = "MISSING_SLICES"
    TOO_THICK = "TOO_THICK"
    TOO_FEW = "TOO_FEW"
    SHORT_COVERAGE = "SHORT_COVERAGE"
    NOT_HU = "NOT_HU"
    DAMAGED_SLICES = "DAMAGED_SLICES"
    NO_LUNG = "NO_LUNG"
    TRUNCATED = "TRUNCATED"
    LUNG_LOST = "LUNG_LOST"
    INCOMPLETE = "INCOMPLETE"
    AGE = "AGE"
    TOO_LARGE = "TOO_LARGE"
    CODEC = "CODEC"
    UNREADABLE = "UNREADABLE"
    FAILED = "FAILED"
    NOT_CHOSEN = "NOT_CHOSEN"
    NO_PIPELINE = "NO_PIPELINE"

    @property
    def sentence(self) -> str:
        """What the code means, for someone who has never seen it."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.NOT_CT: "The series is not a CT image series.",
    Reason.LOCALIZER: "The series is a localizer (scout), not a diagnostic CT.",
    Reason.DERIVED: "The images are derived (reformatted, projected or averaged), not original slices.",
    Reason.DOSE_REPORT: "The series is a dose report or screen capture.",
    Reason.NOT_AXIAL: "The slices are not axial.",
    Reason.TILT: "The gantry was tilted: volumes would be wrong.",
    Reason.MIXED_ORIENTATION: "The slices do not share one orientation.",
    Reason.MIXED_GEOMETRY: "The slices do not share one grid and frame of reference.",
    Reason.DUPLICATE_POSITION: "Several slices lie at the same position.",
    Reason.MULTIPHASE: "The series mixes several acquisitions, phases or reconstructions.",
    Reason.MIXED_PATIENTS: "The images belong to different patients.",
    Reason.MIXED_SERIES: "The images belong to different studies or series.",
    Reason.IRREGULAR_SPACING: "The distance between slices is not constant.",
    Reason.MISSING_SLICES: "Slices are missing inside the series.",
    Reason.TOO_THICK: "The slices are too thick for this analysis.",
    Reason.TOO_FEW: "The series has too few slices.",
    Reason.SHORT_COVERAGE: "The series does not cover enough of the chest.",
    Reason.NOT_HU: "The pixel values are not calibrated Hounsfield units.",
    Reason.DAMAGED_SLICES: "Some slices are blank or damaged, or do not fit their neighbours.",
    Reason.NO_LUNG: "No two plausible lungs were found.",
    Reason.TRUNCATED: "A lung is cut off at the edge of the images.",
    Reason.LUNG_LOST: "Much of what was found as lung belongs to neither lung.",
    Reason.INCOMPLETE: "The sender holds more images of this series than have arrived.",
    Reason.AGE: "The patient's age is outside the intended use.",
    Reason.TOO_LARGE: "The series is larger than what is analysed.",
    Reason.CODEC: "The pixel data could not be decoded.",
    Reason.UNREADABLE: "A required attribute is missing or cannot be read.",
    Reason.FAILED: "The analysis of the series failed.",
    Reason.NOT_CHOSEN: "Another series of the study suits the analysis better.",
    Reason.NO_PIPELINE: "No analysis is set up for this kind of CT.",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason why a series is not analysed, with the values that decided it (no patient data)."""

    reason: Reason
    detail: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.reason.sentence} {self.detail}".rstrip()


class ThoracleError(Exception):
    """Base of all errors this package raises on purpose."""


class Rejected(ThoracleError):
    """The CT is not analysed; `refusals` holds every reason found (at least one)."""

    def __init__(self, *refusals: Refusal) -> None:
        assert refusals, "a rejection needs a reason"
        self.refusals = refusals
        super().__init__("; ".join(map(str, refusals)))


class Transient(ThoracleError):
    """Worth trying again later (peer down, disk momentarily full)."""


class Permanent(ThoracleError):
    """Trying again cannot help (bad configuration, wrong model digest, refused object)."""


def is_storage_error(error: BaseException) -> bool:
    """Whether the operating system failed to read or write.

    pydicom raises OSError for malformed bytes too, but without an errno; and a seek to a position that no file has,
    as a wrong length in a file demands, is EINVAL.
    """
    return isinstance(error, OSError) and error.errno not in (None, EINVAL)


def traceback_of(error: BaseException, frames: int = 15) -> str:
    """Where the error arose, for the log: the innermost frames, without its message, which may quote patient data."""
    return "".join(format_tb(error.__traceback__, limit=-frames))
