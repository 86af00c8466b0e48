"""The patient's age against the intended use (PS3.3 C.7.2.2, PS3.5 6.2 AS)."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from pydicom import Dataset

from service.errors import Reason, Refusal
from service.imaging.attributes import text

_PER_YEAR = {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}


def age(images: Sequence[Dataset], min_age_years: float) -> Iterator[Refusal]:
    """AGE if the patient is known to be too young."""
    years = age_years(images[0]) if images else None
    if years is not None and years < min_age_years:
        yield Refusal(Reason.AGE, f"{years:.0f} years; at least {min_age_years:.0f} are required.")


def age_years(image: Dataset) -> float | None:
    """Patient's Age, else Study Date less Patient's Birth Date; None if neither can be told."""
    written = re.fullmatch(r"(\d{3})([YMWD])", text(image, "PatientAge"))
    if written:
        return int(written[1]) / _PER_YEAR[written[2]]
    try:
        born, seen = (
            datetime.strptime(text(image, keyword), "%Y%m%d") for keyword in ("PatientBirthDate", "StudyDate")
        )
    except ValueError:
        return None
    years = (seen - born).days / _PER_YEAR["D"]
    return years if 0 <= years <= 130 else None
