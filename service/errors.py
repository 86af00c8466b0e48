"""Why something did not work: refused by name, worth another try, or final.

`Rejected` is about the CT (a refusal a radiologist can read), `Transient` and `Permanent` are about the
machinery around it. Errors are classified where they arise, with `raise ... from exc`.
"""

from collections.abc import Iterable
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
    Reason.TOO_LARGE: "The series holds more voxels than are analysed.",
    Reason.CODEC: "The pixel data could not be decoded.",
    Reason.UNREADABLE: "A required attribute is missing or cannot be read.",
    Reason.FAILED: "The analysis of the series failed.",
    Reason.NOT_CHOSEN: "Another series of the study suits the analysis better.",
}


class Flag(StrEnum):
    """Quality warnings: the CT is analysed, but the reader is told."""

    THICK_SLICES = "THICK_SLICES"
    LOSSY = "LOSSY"
    AGE_UNKNOWN = "AGE_UNKNOWN"
    LUNG_AT_EDGE = "LUNG_AT_EDGE"
    LUNG_DROPPED = "LUNG_DROPPED"
    LOBES_APPROXIMATE = "LOBES_APPROXIMATE"
    LOBE_MISSING = "LOBE_MISSING"
    UNMEASURED_MODEL = "UNMEASURED_MODEL"
    NO_CLASSIFIER = "NO_CLASSIFIER"
    PADDING_MASKED = "PADDING_MASKED"
    TRACE_OPACITY = "TRACE_OPACITY"
    NO_NOISE_FLOOR = "NO_NOISE_FLOOR"
    LOW_AGREEMENT = "LOW_AGREEMENT"

    @property
    def sentence(self) -> str:
        """What the flag means, in the same words wherever a reader meets it; 64 characters and a stop at most."""
        return _FLAG_SENTENCES[self]

    @property
    def doubt(self) -> str | None:
        """Reason why the score may be wrong, in a few words; None for a flag that is not about the score."""
        return _DOUBTS.get(self)


_FLAG_SENTENCES = {
    Flag.THICK_SLICES: "Slices thicker than 3 mm: small opacities may be missed.",
    Flag.LOSSY: "The images were compressed with loss.",
    Flag.AGE_UNKNOWN: "The patient's age is not recorded.",
    Flag.LUNG_AT_EDGE: "Incomplete lungs: a lung reaches the edge of the images.",
    Flag.LUNG_DROPPED: "Incomplete lungs: a part found as lung was left out.",
    Flag.LOBES_APPROXIMATE: "Lobes: approximate, borders 4.5 mm from fissures on average.",
    Flag.UNMEASURED_MODEL: "A model is the site's own: not measured by Thoracle.",
    Flag.LOBE_MISSING: "A lobe was not found: it is not scored, and there is no total.",
    Flag.NO_CLASSIFIER: "Classification: no validated model installed.",
    Flag.PADDING_MASKED: "Padding outside the field of view was set to air.",
    Flag.TRACE_OPACITY: "The opacity found is within what is found in normal lungs.",
    Flag.NO_NOISE_FLOOR: "No noise floor is measured for this model: noise is scored, too.",
    Flag.LOW_AGREEMENT: "Mirrored images give a different result: read with care.",
}


_DOUBTS = {
    Flag.LUNG_AT_EDGE: "incomplete lungs",
    Flag.LUNG_DROPPED: "incomplete lungs",
    Flag.NO_NOISE_FLOOR: "noise is scored, too",
    Flag.LOW_AGREEMENT: "mirrored images disagree",
}


def doubts(flags: Iterable[Flag]) -> tuple[str, ...]:
    """Reasons why the score may be wrong, each once."""
    return tuple(dict.fromkeys(flag.doubt for flag in flags if flag.doubt is not None))


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
