"""Why something did not work: refused by name, worth another try, or final.

`Rejected` is about the CT (a refusal a radiologist can read), `Transient` and `Permanent` are about the
machinery around it. Errors are classified where they arise, with `raise ... from exc`.
"""

from dataclasses import dataclass
from enum import StrEnum


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
    IRREGULAR_SPACING = "IRREGULAR_SPACING"
    MISSING_SLICES = "MISSING_SLICES"
    TOO_THICK = "TOO_THICK"
    TOO_FEW = "TOO_FEW"
    SHORT_COVERAGE = "SHORT_COVERAGE"
    NOT_HU = "NOT_HU"
    NO_LUNG = "NO_LUNG"
    TRUNCATED = "TRUNCATED"
    INCOMPLETE = "INCOMPLETE"
    AGE = "AGE"
    TOO_LARGE = "TOO_LARGE"
    CODEC = "CODEC"
    UNREADABLE = "UNREADABLE"
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
    Reason.MIXED_GEOMETRY: "The slices do not share one matrix, pixel spacing and frame of reference.",
    Reason.DUPLICATE_POSITION: "Several slices lie at the same position.",
    Reason.MULTIPHASE: "The series holds several acquisitions or phases of the same region.",
    Reason.IRREGULAR_SPACING: "The distance between slices is not constant.",
    Reason.MISSING_SLICES: "Slices are missing inside the series.",
    Reason.TOO_THICK: "The slices are too thick for this analysis.",
    Reason.TOO_FEW: "The series has too few slices.",
    Reason.SHORT_COVERAGE: "The series does not cover enough of the chest.",
    Reason.NOT_HU: "The pixel values are not calibrated Hounsfield units.",
    Reason.NO_LUNG: "No two plausible lungs were found.",
    Reason.TRUNCATED: "A lung is cut off at the first or last slice.",
    Reason.INCOMPLETE: "The sender holds more images of this series than have arrived.",
    Reason.AGE: "The patient's age is outside the intended use.",
    Reason.TOO_LARGE: "The series holds more voxels than are analysed.",
    Reason.CODEC: "The pixel data could not be decoded.",
    Reason.UNREADABLE: "A required attribute is missing or cannot be read.",
    Reason.NOT_CHOSEN: "Another series of the study suits the analysis better.",
}


class Flag(StrEnum):
    """Quality warnings: the CT is analysed, but the reader is told."""

    THICK_SLICES = "THICK_SLICES"
    LOSSY = "LOSSY"
    AGE_UNKNOWN = "AGE_UNKNOWN"
    LUNG_AT_EDGE = "LUNG_AT_EDGE"
    LOBES_APPROXIMATE = "LOBES_APPROXIMATE"
    LOBE_MISSING = "LOBE_MISSING"
    UNMEASURED_MODEL = "UNMEASURED_MODEL"
    NO_CLASSIFIER = "NO_CLASSIFIER"
    PADDING_MASKED = "PADDING_MASKED"
    TRACE_OPACITY = "TRACE_OPACITY"
    LOW_AGREEMENT = "LOW_AGREEMENT"

    @property
    def sentence(self) -> str:
        """What the flag means, in the same words wherever a reader meets it; 64 characters and a stop at most."""
        return _FLAG_SENTENCES[self]


_FLAG_SENTENCES = {
    Flag.THICK_SLICES: "Slices thicker than 3 mm: small opacities may be missed.",
    Flag.LOSSY: "The images were compressed with loss.",
    Flag.AGE_UNKNOWN: "The patient's age is not recorded.",
    Flag.LUNG_AT_EDGE: "Lung at the first or last slice: its volume may be incomplete.",
    Flag.LOBES_APPROXIMATE: "Lobes: approximate, borders 4.5 mm from fissures on average.",
    Flag.UNMEASURED_MODEL: "A model is the site's own: not measured by Thoracle.",
    Flag.LOBE_MISSING: "A lobe was not found: it is not scored, and there is no total.",
    Flag.NO_CLASSIFIER: "Classification: no validated model installed.",
    Flag.PADDING_MASKED: "Padding outside the field of view was set to air.",
    Flag.TRACE_OPACITY: "Less than 10 mL of opacity: as much is found in healthy lungs.",
    Flag.LOW_AGREEMENT: "Mirrored images give a different result: read with care.",
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
