"""An earlier result of the same patient, whatever it was read from, and whether it may be compared.

An ID alone proves nothing: two sites may give out the same one, and IDs are merged and used again. So name, birth date
and sex must not contradict, and where no issuer vouches for the ID the birth dates must be there and agree.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from service.domain.analysis import ModelUse
from service.domain.comparison import PriorObject


@dataclass(frozen=True, slots=True)
class Patient:
    """Whose a CT is, by its header (PS3.3 C.7.1.1); "" where it does not say. birth_date: YYYYMMDD.

    entity: Universal Entity ID and its type, of the Issuer of Patient ID Qualifiers (PS3.3 10.14).
    """

    patient_id: str
    issuer: str
    name: str
    birth_date: str
    sex: str
    entity: str = ""

    def contradictions(self, other: "Patient") -> Iterator[str]:
        """What the two say differently: names of attributes, never their values."""
        for what, mine, theirs in (
            ("Patient ID", self.patient_id, other.patient_id),
            ("Issuer of Patient ID", self.issuer.upper(), other.issuer.upper()),
            ("Issuer of Patient ID Qualifiers", self.entity.upper(), other.entity.upper()),
            ("birth date", _digits(self.birth_date), _digits(other.birth_date)),
            ("sex", self.sex.upper(), other.sex.upper()),
            ("name", _name(self.name), _name(other.name)),
        ):
            if mine and theirs and mine != theirs:
                yield what

    def is_proven(self, other: "Patient") -> bool:
        """Whether the two are one patient, if nothing contradicts: ID and issuer agree, or ID and birth date where
        neither has an issuer. Placeholders of anonymisers and registration desks prove nothing."""
        if self.patient_id != other.patient_id or _plain(self.patient_id) in _NO_IDS:
            return False
        issuers = [(one.issuer.upper(), one.entity.upper()) for one in (self, other)]
        if issuers[0] != issuers[1]:
            return False
        born = _digits(self.birth_date)
        return any(issuers[0]) or (born not in _NO_BIRTH_DATES and born == _digits(other.birth_date))


_NO_BIRTH_DATES = frozenset({"", "19000101", "00010101", "18000101"})
"""What stands for an unknown birth date."""

_NO_IDS = frozenset(
    {"", "anon", "anonym", "anonymous", "anonymized", "anonymised", "unknown", "none", "null", "na", "0"}
)
"""What stands for an unknown patient, as letters and digits."""


def _plain(value: str) -> str:
    """Small letters and digits; zeros alone are one."""
    letters = "".join(letter for letter in value.casefold() if letter.isalnum())
    return letters.lstrip("0") or letters[:1]


def _digits(value: str) -> str:
    return re.sub(r"[^0-9]", "", value)


def _name(value: str) -> str:
    """Family and given name of the alphabetic group, without case, accents and punctuation (PS3.5 6.2.1)."""
    parts = value.split("=")[0].split("^")[:2]
    plain = (unicodedata.normalize("NFKD", part).casefold() for part in parts)
    letters = ("".join(letter for letter in part if letter.isalnum()) for part in plain)
    return "^".join(letters).strip("^")


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What of a scan changes numbers. acquired_at: local time of the scanner. thickness_mm: None where not recorded."""

    acquired_at: datetime
    scanner: str = ""
    kernel: str = ""
    thickness_mm: float | None = None
    has_contrast: bool = False

    def differences(self, now: "Acquisition") -> Iterator[str]:
        """What the scan of `now` did otherwise, in sentences."""
        pairs = (
            ("Scanner", self.scanner, now.scanner),
            ("Kernel", self.kernel, now.kernel),
            ("Slice thickness", _mm(self.thickness_mm), _mm(now.thickness_mm)),
            ("Contrast agent", _given(self.has_contrast), _given(now.has_contrast)),
        )
        for what, then, today in pairs:
            if then != today:
                yield f"{what}: {then or 'not recorded'} then, {today or 'not recorded'} now."


def _mm(value: float | None) -> str:
    return "" if value is None else f"{value:g} mm"


def _given(given: bool) -> str:
    return "given" if given else "none"


@dataclass(frozen=True, slots=True)
class PriorResult:
    """An earlier result in neutral form.

    pipeline, version: that made it. number: of the result among those of its study. headline: in words. doubts: why it
    may be wrong. measurements: numbers by group and name, as result.json has them; judged: meanings of evaluations by
    group and concept. segments: names of the segments of each label map, by its name. overridden: a reviewer's word on
    the headline, in words; "" if it stands, as far as is known.
    """

    patient: Patient
    study_uid: str
    series_uid: str
    pipeline: str
    version: str
    number: int
    models: tuple[ModelUse, ...]
    acquisition: Acquisition
    headline: str
    doubts: tuple[str, ...]
    measurements: Mapping[str, Mapping[str, float]]
    judged: Mapping[str, Mapping[str, str]]
    objects: tuple[PriorObject, ...]
    segments: Mapping[str, frozenset[str]]
    overridden: str = ""

    def segments_of(self, label_map: str) -> frozenset[str]:
        """Names of the segments of a label map; none where there is no Segmentation of it."""
        return self.segments.get(label_map, frozenset())
