"""The seed of all UIDs of a result: a canonical serialisation of everything that the encoders work from.

Version 1. The seed is the SHA-256 of these records, in this order, each ended by a line feed:

    1. "thoracle seed 1"
    2. JSON of what the result is about: context, CT and analysis, with all numbers unrounded
    3. arrays: Hounsfield units as float32, then the labels of each label map, then the values of each heat map; each
       as JSON {"array": name, "dtype", "shape"} and its bytes in C order, little endian
    4. headers: each cleaned source header as an Explicit VR Little Endian data set (PS3.5 A.2)

A record comes in parts, so that nobody needs a copy of a whole CT. JSON is ASCII with sorted keys, no spaces, floats
as Python's shortest representation. It names things in the words below, never by the names of classes or attributes:
code can be renamed, and no UID changes. A change of this serialisation changes every UID, needs another version and a
decision record. Lines of measurements, heat maps, and the decision of a classification came later
(docs/decisions/0149), as did the type of a segment for radiotherapy (0194), lines that are not drawn (0199) and the
comparison with an earlier CT (0206); they stand in it only where there are some: results without them keep their UIDs.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from service.domain.analysis import Analysis, Classification, LabelMap, Measurement, MeasurementGroup, PipelineUse
from service.domain.ct import CT
from service.domain.flags import Flag
from service.evidence.context import EvidenceContext
from service.evidence.seed_comparison import coded as _code
from service.evidence.seed_comparison import comparison_record

VERSION = "thoracle seed 1"

Json = dict[str, Any]
Record = Iterable[bytes]


def seed_records(ct: CT, sources: Sequence[Dataset], analysis: Analysis, context: EvidenceContext) -> Iterator[Record]:
    """The records of one analysis. sources: the cleaned headers of the CT."""
    yield (VERSION.encode(),)
    yield (json_record({"context": _context(context), "ct": _ct(ct), "analysis": _analysis(analysis)}),)
    yield from _array("hu", ct.volume.array, np.dtype(np.float32))
    for label_map in analysis.label_maps:
        yield from _array(label_map.name, label_map.labels, label_map.labels.dtype)
    for heat_map in analysis.explanations:
        yield from _array(heat_map.name, heat_map.values, heat_map.values.dtype)
    yield from header_records(sources)


def notice_records(told: Any, headers: Iterable[Dataset], context: EvidenceContext) -> Iterator[Record]:
    """The records of a notice. told: what it says, ready for JSON."""
    yield (VERSION.encode(),)
    yield (json_record({"context": _context(context), "notice": told}),)
    yield from header_records(headers)


def header_records(headers: Iterable[Dataset]) -> Iterator[Record]:
    """Every header as a data set."""
    for header in headers:
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_dataset(buffer, header)
        yield (buffer.getvalue(),)


def json_record(document: Any) -> bytes:
    """ValueError for a number that is none."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _array(name: str, array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> Iterator[Record]:
    """An array as numbers of that type, plane by plane."""
    yield (json_record({"array": name, "dtype": dtype.name, "shape": list(array.shape)}),)
    yield (np.ascontiguousarray(plane, dtype.newbyteorder("<")).tobytes() for plane in array)


def _context(context: EvidenceContext) -> Json:
    replaced = context.replaces
    return {
        "software": context.software_version,
        "analysed at": context.analysed_at.isoformat(),
        "institution": context.institution,
        "number": context.number,
        "pipeline": _pipeline(context.pipeline),
        "replaces": replaced
        and {
            "number": replaced.number,
            "analysed at": replaced.analysed_at and replaced.analysed_at.isoformat(),
            "notice": replaced.notice,
            "objects": [
                [one.study_uid, one.series_uid, one.sop_class_uid, one.sop_instance_uid] for one in replaced.objects
            ],
        },
        "passed over": [[one.number, list(one.reasons)] for one in context.passed_over],
    }


def _ct(ct: CT) -> Json:
    return {
        "flags": _flags(ct.flags),
        "frames": list(ct.frame_numbers),
        "affine": ct.volume.affine.tolist(),
    }


def _analysis(analysis: Analysis) -> Json:
    headline = analysis.headline
    return {
        "pipeline": _pipeline(analysis.pipeline),
        "models": [[m.name, m.version, m.sha256, *([m.runs_on] if m.runs_on else [])] for m in analysis.models],
        "flags": _flags(analysis.flags),
        "headline": [headline.name, headline.value, _code(headline.unit), headline.maximum, headline.category],
        "words": [headline.words, headline.remark, *analysis.summary],
        "label maps": [_label_map(label_map) for label_map in analysis.label_maps],
        "groups": [_group(group) for group in analysis.groups],
        "classification": analysis.classification and _classification(analysis.classification),
        "uncertainty": [_measurement(one) for one in analysis.uncertainty],
        "limitations": [_code(one) for one in analysis.limitations],
        "urgent": analysis.urgent,
    } | dict(_where_there_is_some(analysis))


def _where_there_is_some(analysis: Analysis) -> Iterator[tuple[str, Any]]:
    """What came after version 1 of the seed."""
    if analysis.explanations:
        yield "heat maps", [[one.name, one.title, one.explains] for one in analysis.explanations]
    if analysis.comparison is not None:
        yield "comparison", comparison_record(analysis.comparison)


def _pipeline(pipeline: PipelineUse) -> list[Any]:
    return [pipeline.name, pipeline.version, pipeline.series_number]


def _label_map(label_map: LabelMap) -> Json:
    segments = [
        {
            "label": int(one.label),
            "name": one.name,
            "title": one.title,
            "codes": [_code(code) for code in (one.category, one.type, one.laterality, one.region)],
            "rgb": list(one.rgb),
            **({"roi type": one.roi_type.value} if one.roi_type else {}),
        }
        for one in label_map.segments
    ]
    kind = label_map.kind
    told = {"name": kind.name, "title": kind.title, "concept": _code(kind.concept), "segments": segments}
    return told if kind.outlined else told | {"outlined": False}


def _group(group: MeasurementGroup) -> Json:
    return {
        "name": group.name,
        "segment": group.segment,
        "codes": [_code(one) for one in (group.category, group.finding, group.site.region, group.site.laterality)],
        "measurements": [_measurement(one) for one in group.measurements],
        "evaluations": [[_code(one.concept), _code(one.value)] for one in group.evaluations],
    }


def _measurement(one: Measurement) -> list[Any]:
    codes = [_code(code) for code in (one.concept, one.unit, one.derivation, one.method)]
    line = [[[float(coordinate) for coordinate in point] for point in one.line]] if one.line else []
    return [one.name, *codes, float(one.value), *line, *([] if one.drawn else ["not drawn"])]


def _classification(found: Classification) -> Json:
    return {
        "name": found.name,
        "codes": [_code(one) for one in (found.finding, found.concept, found.absent)],
        "classes": [[_code(one.concept), one.title, one.value] for one in found.probabilities],
        **({"decision": _code(found.decision)} if found.decision else {}),
        **({"experimental": True} if found.experimental else {}),
    }


def _flags(flags: Iterable[Flag]) -> list[list[str | None]]:
    return [[flag.code, flag.detail, flag.sentence, flag.concept_value, flag.doubt] for flag in flags]
