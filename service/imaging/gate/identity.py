"""Identity of the images: one patient, one study, one series (PS3.3 C.7.1.1, C.7.2.1, C.7.3.1).

Evidence is filed under the identity of its source images, so a contradiction is refused and never decided. Details
hold counts only, no patient data.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from unicodedata import normalize

from pydicom import Dataset

from service.errors import Reason, Refusal
from service.imaging.attributes import Unreadable, text
from service.imaging.gate.patient import is_placeholder, stated_years

Written = Callable[[str], tuple[str, ...]]
"""Parts of a value that have to agree between images; "" says nothing."""


def one_patient(images: Sequence[Dataset]) -> Iterator[Refusal]:
    """MIXED_PATIENTS for each attribute of the patient that contradicts itself.

    Images without Patient ID among images with one are refused too: nothing tells whose they are. An empty name,
    birth date, sex, age or issuer says nothing, and so contradicts nothing.
    """
    ids = Counter(_read(image, "PatientID") for image in images)
    if len(ids) > 1:
        without = f", none in {ids['']}" if "" in ids else ""
        detail = f"Patient ID has {len(ids.keys() - {''})} values in {len(images)} images{without}."
        yield Refusal(Reason.MIXED_PATIENTS, detail)
    yield from _contradictions(images, _PATIENT, Reason.MIXED_PATIENTS)
    yield from _ages(images)


def one_series(images: Sequence[Dataset]) -> Iterator[Refusal]:
    """MIXED_SERIES for each attribute of study and series that contradicts itself."""
    yield from _contradictions(images, _SERIES, Reason.MIXED_SERIES)


def _contradictions(
    images: Sequence[Dataset], attributes: dict[str, tuple[str, Written]], reason: Reason
) -> Iterator[Refusal]:
    for keyword, (name, written) in attributes.items():
        different = {written(value) for value in {_read(image, keyword) for image in images}}
        values = max((len(set(part) - {""}) for part in _aligned(different)), default=0)
        if values > 1:
            yield Refusal(reason, f"{name} has {values} values in {len(images)} images.")


def _ages(images: Sequence[Dataset]) -> Iterator[Refusal]:
    """Ages in years and in months may be the same; those that differ by a year are of two patients."""
    written = {value for image in images if (value := _read(image, "PatientAge")) and not is_placeholder(value)}
    known = [years for value in written if (years := stated_years(value)) is not None]
    if known and max(known) - min(known) >= 1.0:
        yield Refusal(Reason.MIXED_PATIENTS, f"Patient's Age differs by a year or more in {len(images)} images.")


def _aligned(values: set[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """The same part of each value, together."""
    longest = max(map(len, values), default=0)
    for place in range(longest):
        yield tuple(value[place] if place < len(value) else "" for value in values)


def _read(image: Dataset, keyword: str) -> str:
    """The value without padding; malformed is as good as absent, others name that."""
    try:
        return text(image, keyword).strip(" \0")
    except Unreadable:
        return ""


def _name(value: str) -> tuple[str, ...]:
    """Alphabetic, ideographic and phonetic group (PS3.5 6.2.1), without case, padding and trailing delimiters."""
    folded = normalize("NFKC", value).casefold()
    groups = ("^".join(" ".join(part.split()) for part in group.split("^")) for group in folded.split("="))
    return tuple(group.rstrip("^ ") for group in groups)


def _plain(value: str) -> tuple[str, ...]:
    return (value.upper(),)


def _digits(value: str) -> tuple[str, ...]:
    """A date or number, however it is punctuated."""
    return (re.sub(r"[^0-9]", "", value),)


_PATIENT: dict[str, tuple[str, Written]] = {
    "PatientName": ("Patient's Name", _name),
    "PatientBirthDate": ("Patient's Birth Date", _digits),
    "PatientSex": ("Patient's Sex", _plain),
    "IssuerOfPatientID": ("Issuer of Patient ID", _plain),
}
_SERIES: dict[str, tuple[str, Written]] = {
    "StudyInstanceUID": ("Study Instance UID", _plain),
    "SeriesInstanceUID": ("Series Instance UID", _plain),
    "Modality": ("Modality", _plain),
    "SeriesNumber": ("Series Number", _plain),
    "StudyDate": ("Study Date", _digits),
}
