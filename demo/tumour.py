"""The suspected tumour of the demo CT as the PACS has got it, beside what an expert outlined."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage

EXPERT = Path(__file__).resolve().parent / "expert.json"
"""Numbers of the expert's outline of the demo CT (demo/ct/README.md), in mL and mm, and the UID of its series."""

_CODES = {"118565006": "volume_ml", "103339001": "longest_diameter_mm", "103340004": "perpendicular_diameter_mm"}


def beside_expert(received: Sequence[Path]) -> Iterator[str]:
    """Sentences about the largest finding in the SRs and the expert's outline; none without a tumour pipeline.

    The expert outlined one series: of any other nothing is told of an expert.
    """
    expert = json.loads(EXPERT.read_text(encoding="utf-8"))
    found, searched, outlined = dict[str, float](), False, False
    for path in received:
        dataset = dcmread(path, stop_before_pixels=True)
        if dataset.SOPClassUID == Comprehensive3DSRStorage:
            for group in _groups(dataset):
                found |= _numbers(group, "GTV_1")
                searched |= bool(_numbers(group, "TUMOUR"))
            outlined |= expert["series_instance_uid"] in _series_of(dataset)
    if not searched:
        return
    yield f"nsclc-gtv: {_sentence(found) if found else 'no tumour found'}"
    if outlined:
        yield f"the expert: {_sentence(expert)}"


def _series_of(report: Dataset) -> set[str]:
    """UIDs of the series that an SR refers to (PS3.3 C.17.2.1)."""
    studies = report.get("CurrentRequestedProcedureEvidenceSequence", ())
    return {str(one.SeriesInstanceUID) for study in studies for one in study.ReferencedSeriesSequence}


def _sentence(numbers: dict[str, float]) -> str:
    volume, longest, short = (numbers[name] for name in _CODES.values())
    return f"{volume:.1f} mL, {longest:.1f} mm x {short:.1f} mm in the axial plane"


def _groups(item: Dataset) -> Iterator[Dataset]:
    """Every container in an SR, at any depth."""
    for child in item.get("ContentSequence", ()):
        if child.ValueType == "CONTAINER":
            yield child
            yield from _groups(child)


def _numbers(group: Dataset, tracking: str) -> dict[str, float]:
    """Numbers of a measurement group (TID 1411, TID 1501) by name, if it has this tracking identifier."""
    content = group.get("ContentSequence", ())
    if not any(one.ValueType == "TEXT" and one.TextValue == tracking for one in content):
        return {}
    return {
        _CODES[one.ConceptNameCodeSequence[0].CodeValue]: float(one.MeasuredValueSequence[0].NumericValue)
        for one in content
        if one.ValueType == "NUM" and one.ConceptNameCodeSequence[0].CodeValue in _CODES
    }
