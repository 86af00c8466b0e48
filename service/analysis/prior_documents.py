"""An earlier result from its DICOM objects alone: what result.json would hold, read from both structured reports.

Only what this service wrote is understood. An SR names concepts, not names of result.json: these are taken from the
present result of the same pipeline, group by group.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pydicom import Dataset

from service.domain import codes
from service.domain.analysis import Analysis, Measurement
from service.domain.flags import Flag

_TRACKING, _DERIVATION, _LIBRARY, _PARAMETERS = "112039", "121401", "111028", "111002"
_OWN_GROUPS = (".EARLIER", ".CHANGE")
_PIPELINE = "pipeline "


def library_image(study: Dataset) -> str:
    """SOP Instance UID of the CT image in the library of a study SR; ValueError if there is none."""
    for item in _below(study):
        if _concept(item) == _LIBRARY:
            for one in _below(item):
                if one.get("ValueType") == "IMAGE":
                    return str(one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
    raise ValueError("there is no image in the library")


def document_of(reports: Sequence[Dataset], analysis: Analysis, flags: Sequence[Flag], number: int) -> dict[str, Any]:
    """What a comparison reads of result.json, but `acquisition`; one of UNPARSABLE where an SR is not as ours.

    reports: the study SR first. analysis: the present result. flags: of the pipeline. number: of the earlier result.
    """
    study = reports[0]
    pipeline, version = _pipeline(study)
    groups: dict[str, dict[str, Any]] = {}
    for group in (found for report in reports for found in _groups(report)):
        name = _tracking(group)
        if not name.endswith(_OWN_GROUPS):
            groups.setdefault(name, {}).update(_told(group, name, analysis))
    return {
        "status": "analysed",
        "pipeline": pipeline,
        "pipeline_version": version,
        "number": number,
        "series_uid": _source_series(study),
        "models": [_model(one) for one in study.get("ContributingEquipmentSequence", ()) if _is_model(one)],
        "headline": {"name": "", "value": None, "max": None, "unit": "1", "category": None, "words": "", "remark": ""}
        | {"doubts": list(_doubts(study, flags))},
        "measurements": groups,
    }


def _told(group: Dataset, name: str, analysis: Analysis) -> Iterator[tuple[str, Any]]:
    """Numbers by their names in result.json, and judgements by the meaning of their concept."""
    known = _dictionary(name, analysis)
    for item in group.ContentSequence:
        if item.ValueType == "NUM":
            if (called := known.get(_key_of(item))) is not None:
                yield called, float(item.MeasuredValueSequence[0].NumericValue)
        elif item.ValueType == "CODE" and item.RelationshipType == "CONTAINS":
            yield str(item.ConceptNameCodeSequence[0].CodeMeaning), str(item.ConceptCodeSequence[0].CodeMeaning)


def _dictionary(name: str, analysis: Analysis) -> dict[tuple[str, ...], str]:
    """Names of measurements by their codes: of the group of that name, or of any group about a segment."""
    own = [group for group in analysis.groups if group.name == name]
    groups = own or [group for group in analysis.groups if group.segment is not None]
    return {_key(one): one.name for group in groups for one in group.measurements}


def _key(one: Measurement) -> tuple[str, ...]:
    derivation = () if one.derivation is None else (str(one.derivation.value),)
    return (str(one.concept.scheme_designator), str(one.concept.value), str(one.unit.value), *derivation)


def _key_of(item: Dataset) -> tuple[str, ...]:
    concept, unit = item.ConceptNameCodeSequence[0], item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]
    derived = [
        str(child.ConceptCodeSequence[0].CodeValue)
        for child in item.get("ContentSequence", ())
        if _concept(child) == _DERIVATION
    ]
    return (str(concept.CodingSchemeDesignator), str(concept.CodeValue), str(unit.CodeValue), *derived)


def _groups(report: Dataset) -> Iterator[Dataset]:
    """Measurement groups: what has a tracking identifier."""
    return (
        item for item in _below(report) if any(_concept(one) == _TRACKING for one in item.get("ContentSequence", ()))
    )


def _tracking(group: Dataset) -> str:
    return next(str(one.TextValue) for one in group.ContentSequence if _concept(one) == _TRACKING)


def _doubts(study: Dataset, flags: Sequence[Flag]) -> Iterator[str]:
    """Return why the headline may be wrong, by the quality flags of the SR."""
    raised = {
        str(item.ConceptCodeSequence[0].CodeValue)
        for item in _below(study)
        if item.get("ValueType") == "CODE" and _concept(item) == codes.QUALITY.value
    }
    yield from dict.fromkeys(flag.doubt for flag in flags if flag.concept_value in raised and flag.doubt is not None)


def _pipeline(study: Dataset) -> tuple[str, str]:
    """Name and version, from the parameters of the algorithm (TID 4019)."""
    for item in _below(study):
        if _concept(item) == _PARAMETERS and str(item.TextValue).startswith(_PIPELINE):
            name, _, version = str(item.TextValue).removeprefix(_PIPELINE).partition(" ")
            return name, version
    raise ValueError("no pipeline is named")


def _source_series(study: Dataset) -> str:
    """The series of the CT: the one of the image in the library."""
    image = library_image(study)
    for evidence in study.CurrentRequestedProcedureEvidenceSequence:
        for series in evidence.ReferencedSeriesSequence:
            if any(str(one.ReferencedSOPInstanceUID) == image for one in series.ReferencedSOPSequence):
                return str(series.SeriesInstanceUID)
    raise ValueError("the CT is not among the evidence")


def _is_model(item: Dataset) -> bool:
    return "weights SHA-256 " in str(item.get("ContributionDescription", ""))


def _model(item: Dataset) -> dict[str, str]:
    versions = item.SoftwareVersions
    return {
        "name": str(item.ManufacturerModelName),
        "version": versions if isinstance(versions, str) else str(versions[0]),
        "sha256": str(item.ContributionDescription).rpartition(" ")[2],
    }


def _concept(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].get("CodeValue", "")) if names else ""


def _below(item: Dataset) -> Iterator[Dataset]:
    """Every content item below, the nearest first along each branch."""
    for child in item.get("ContentSequence", ()):
        yield child
        yield from _below(child)
