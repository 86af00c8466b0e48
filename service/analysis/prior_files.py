"""Reads an earlier result from the files that it was written as: result.json, its study SR and its Segmentations.

Only what this service wrote is believed: the SR has to name it as its maker, and result.json has to fit the SR.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom import Dataset

from service.domain.analysis import LabelMapKind, ModelUse
from service.domain.comparison import PriorObject
from service.domain.dicom_file import beginning
from service.domain.job_words import headline_in_words
from service.domain.prior import Acquisition, PriorResult
from service.domain.unparsable import UNPARSABLE
from service.errors import Permanent, Rejected
from service.evidence.context import STUDY, segmentation_products
from service.evidence.equipment import MANUFACTURER, MODEL_NAME
from service.imaging.attributes import is_unique_identifier
from service.imaging.charset import printable
from service.imaging.labels import Labels
from service.imaging.patient_identity import patient_of
from service.store.dicom_folder import read_header
from service.store.label_files import read_labels

RESULT = "result.json"

_LONGEST_BYTES = 2**24
"""The most bytes that result.json may have; ours have some thousand."""

_LONGEST_TEXT = 300
"""Characters of any text of it."""

_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")

_IDENTITY = (
    *("SpecificCharacterSet", *_UIDS),
    *("Manufacturer", "ManufacturerModelName"),
    *("PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence"),
    *("PatientName", "PatientBirthDate", "PatientSex"),
)


class NoPrior(Permanent):
    """The files are no earlier result that can be compared; the text says why, and is safe to log."""


@dataclass(frozen=True, slots=True)
class Prior:
    """An earlier result, with its Segmentations by the name of their label map, which are read when they are asked."""

    result: PriorResult
    segmentations: Mapping[str, Path]

    def labels(self, label_map: str) -> Labels | None:
        """The labels of a label map; None where the result has no Segmentation of it."""
        path = self.segmentations.get(label_map)
        return None if path is None else read_labels(path)


def read_prior(files: Mapping[str, Path], label_maps: Sequence[LabelMapKind]) -> Prior:
    """An earlier result. files: of its folder, by name. label_maps: of the pipeline. NoPrior if it cannot be used."""
    document = _document(files)
    roots = sorted((name for name in files if STUDY.may_be(name)), key=lambda name: (len(name), name))
    if not roots:
        raise NoPrior("there is no study SR")
    root = _header(files[roots[0]])
    segmentations = dict(_segmentations(files, label_maps))
    headers = {name: _header(path) for name, path in segmentations.items()}
    if any(header.get("StudyInstanceUID") != root.get("StudyInstanceUID") for header in headers.values()):
        raise NoPrior("its objects are of different studies")
    objects = (_object(STUDY.kind, root), *(_object(name, header) for name, header in headers.items()))
    try:
        segments = {name: _segment_names(path) for name, path in segmentations.items()}
        result = _result(document, root, objects, segments)
    except (Rejected, *UNPARSABLE) as error:
        raise NoPrior(f"its files are not as this service writes them ({type(error).__name__})") from error
    return Prior(result, segmentations)


def _document(files: Mapping[str, Path]) -> dict[str, Any]:
    path = files.get(RESULT)
    if path is None or not path.is_file():
        raise NoPrior(f"there is no {RESULT}")
    if path.stat().st_size > _LONGEST_BYTES:
        raise NoPrior(f"{RESULT} is larger than any of ours")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise NoPrior(f"{RESULT} is no JSON") from error
    if not isinstance(document, dict) or document.get("status") != "analysed":
        raise NoPrior("nothing was analysed")
    if not document.get("acquisition"):
        raise NoPrior(f"{RESULT} does not tell when the CT was acquired: it is of an older version")
    return document


def told_acquisition(files: Mapping[str, Path]) -> datetime | None:
    """When its CT was acquired, by its result.json alone; None where that cannot be read."""
    try:
        return _acquisition(_document(files)["acquisition"]).acquired_at
    except (NoPrior, *UNPARSABLE):
        return None


def _result(
    document: Mapping[str, Any],
    root: Dataset,
    objects: tuple[PriorObject, ...],
    segments: Mapping[str, frozenset[str]],
) -> PriorResult:
    groups: dict[str, dict[str, Any]] = document["measurements"]
    return PriorResult(
        patient=patient_of(root),
        study_uid=str(root.StudyInstanceUID),
        series_uid=_text(document["series_uid"]),
        pipeline=_text(document["pipeline"]),
        version=_text(document["pipeline_version"]),
        number=int(document["number"]),
        models=tuple(_model(one) for one in document["models"]),
        acquisition=_acquisition(document["acquisition"]),
        headline=_text(headline_in_words(document["headline"])) if document["headline"]["name"] else "",
        doubts=tuple(map(_text, document["headline"]["doubts"])),
        measurements={_text(name): dict(_numbers(group)) for name, group in groups.items()},
        judged={_text(name): dict(_words(group)) for name, group in groups.items()},
        objects=objects,
        segments=segments,
    )


def _numbers(group: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """ValueError for a number that is none: JSON of others may hold NaN."""
    for name, value in group.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if not math.isfinite(value):
                raise ValueError(f"{name} is not finite")
            yield _text(name), value


def _words(group: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return ((_text(name), _text(value)) for name, value in group.items() if isinstance(value, str))


def _text(value: object) -> str:
    """A text without control characters, which reports may print, and no longer than any of ours."""
    return printable(str(value))[:_LONGEST_TEXT]


def _model(one: Mapping[str, str]) -> ModelUse:
    return ModelUse(_text(one["name"]), _text(one["version"]), _text(one["sha256"]))


def _acquisition(told: Mapping[str, Any]) -> Acquisition:
    thickness = told["thickness_mm"]
    return Acquisition(
        acquired_at=datetime.fromisoformat(told["acquired_at"]).replace(tzinfo=None),
        scanner=_text(told["scanner"]),
        kernel=_text(told["kernel"]),
        thickness_mm=None if thickness is None else float(thickness),
        has_contrast=bool(told["has_contrast"]),
    )


def _segmentations(files: Mapping[str, Path], label_maps: Sequence[LabelMapKind]) -> Iterator[tuple[str, Path]]:
    """One for each label map: of several styles that with the shortest name, which is the plain one."""
    for product, kind in zip(segmentation_products(label_maps), label_maps, strict=True):
        names = sorted((name for name in files if product.may_be(name)), key=lambda name: (len(name), name))
        if names:
            yield kind.name, files[names[0]]


def _segment_names(path: Path) -> frozenset[str]:
    """Tracking identifiers, which are the names of segments and of their groups."""
    return frozenset(_text(item.TrackingID) for item in read_header(path).SegmentSequence)


def _header(path: Path) -> Dataset:
    """What tells whose an object is and who made it; NoPrior unless this service did."""
    try:
        with path.open("rb") as file:
            header = beginning(file, _IDENTITY)
        ours = is_ours(header)
    except (Rejected, *UNPARSABLE) as error:
        raise NoPrior("an object of it cannot be read") from error
    if not all(is_unique_identifier(header.get(name)) for name in _UIDS):
        raise NoPrior("an object of it has no UIDs that can be referred to")
    if not ours:
        raise NoPrior("an object of it was made by another product")
    return header


def is_ours(header: Dataset) -> bool:
    """Whether an object says that this service made it."""
    return (header.get("Manufacturer"), header.get("ManufacturerModelName")) == (MANUFACTURER, MODEL_NAME)


def _object(kind: str, header: Dataset) -> PriorObject:
    return PriorObject(kind, str(header.SOPClassUID), str(header.SOPInstanceUID), str(header.SeriesInstanceUID))
