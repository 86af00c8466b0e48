"""Studies of which nothing was analysed."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from typing import Any

from pydicom import Dataset

from helpers import evidence_samples, make_ct
from service.errors import Reason, Refusal
from service.evidence.context import EvidenceContext

UID = "1.2.826.0.1.3680043.8.498.1"
TOO_THICK = Refusal(Reason.TOO_THICK, "7.00 mm; at most 5 mm.")
SCOUT = Refusal(Reason.LOCALIZER, "Image Type ORIGINAL/PRIMARY/LOCALIZER in 2 of 2 slices.")
LONG = (
    Refusal(Reason.MISSING_SLICES, "Gaps of 5.00 mm after slices " + ", ".join(map(str, range(10, 60))) + "."),
    Refusal(Reason.UNREADABLE, "Image Position (Patient) is missing in 3 of 128 images."),
    Refusal(Reason.NOT_HU, "Rescale Type is US, not HU, in 128 of 128 slices."),
)


def header(uid: str = UID, **attributes: Any) -> Dataset:
    """Header of one image of the series `uid`; None removes an attribute."""
    made = deepcopy(_image())
    made.SeriesInstanceUID, made.SOPInstanceUID = uid, f"{uid}.1"
    made.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in attributes.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    return made


@cache
def _image() -> Dataset:
    return evidence_samples.without_pixels(make_ct.make(slices=1).datasets[0])


def several(count: int, **attributes: Any) -> tuple[list[Dataset], dict[str, tuple[Refusal, ...]]]:
    """So many series with long reasons."""
    headers = [
        header(f"{UID}.{k}", SeriesNumber=k, SeriesDescription=f"Thorax nativ axial 5.0 B31f Serie {k}", **attributes)
        for k in range(count)
    ]
    return headers, {str(one.SeriesInstanceUID): LONG for one in headers}


def context(headers: Sequence[Dataset], **changes: Any) -> EvidenceContext:
    pipeline = evidence_samples.PIPELINE
    values: Mapping[str, Any] = {"software_version": "0.1.0", "analysed_at": evidence_samples.ANALYSED_AT}
    values = {**values, "pipeline": pipeline}
    return EvidenceContext(**{**values, **changes})
