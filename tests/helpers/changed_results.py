"""Results of a phantom, encoded again with one thing changed each time, for what the conformance statement tells.

The changes are those of the statement's own sample, made to a CT and an analysis that have nothing else of it.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage, generate_uid

from helpers import evidence_samples, make_ct, notice_samples
from helpers.comparison_samples import COMPARISON
from service.conformance.sample_ct import sample_ct
from service.conformance.sample_results import CHANGES, FIRST, LABEL_MAP
from service.domain import codes
from service.domain.analysis import Analysis, HeatMap, Measurement, PipelineUse
from service.domain.ct import CT
from service.errors import Reason, Refusal
from service.evidence.context import (
    ALWAYS,
    CAPTURE,
    HEAT_MAP,
    SEG,
    STRUCTURE_SET,
    TEXT,
    Evidence,
    Predecessor,
    SegKind,
    Selection,
    Style,
    is_segmentation,
)
from service.evidence.notice import encode_notice

_KINDS = ALWAYS | {CAPTURE.kind, HEAT_MAP.kind, STRUCTURE_SET.kind, TEXT.kind}
SELECTIONS = [Selection(Style(kind), _KINDS) for kind in SegKind]
_IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")

Objects = Mapping[str, Sequence[Dataset]]
"""Objects of a result, and of a notice instead of it, by kind."""

Result = tuple[Dataset, Objects]
"""The header that attributes are copied from, and the objects."""

_AT = evidence_samples.ANALYSED_AT
_CONTEXTS: Mapping[str, Mapping[str, Any]] = {
    "time": {"analysed_at": _AT + timedelta(days=1, hours=1)},
    "number": {"number": 3},
    "version": {"software_version": "9.9"},
    "pipeline": {"pipeline": PipelineUse("other-pipeline", "7", 8000)},
    "institution": {"institution": "Phantom Hospital"},
    "earlier": {"replaces": evidence_samples.replacing(Predecessor(Comprehensive3DSRStorage, "1.2.8", "1.2", "1.3"))},
}


def changed_results() -> Mapping[str, Result]:
    """The first result, and one for each change."""
    return {name: _result(name) for name in (FIRST, *CHANGES)}


def kind_of(one: Evidence) -> str:
    """The kind of an object, as the statement names it."""
    if not is_segmentation(one.kind):
        return one.kind
    return LABEL_MAP if one.style is not None and one.style.seg is SegKind.LABELMAP else SEG


def with_axis(ct: CT, analysis: Analysis) -> Analysis:
    """The same with a number that was measured along a line of a lobe; covid-severity has none."""
    ends = ct.volume.map_indices_to_reference(np.array([[3, 8, 8], [3, 8, 12]], np.float64)).tolist()
    axis = Measurement("axis_mm", codes.SERIES, 40.0, codes.MILLIMETRE, line=tuple(map(tuple, ends)))
    groups = tuple(
        replace(one, measurements=(*one.measurements, axis)) if one.name == "RUL" else one for one in analysis.groups
    )
    return replace(analysis, groups=groups)


def with_heat_map(analysis: Analysis) -> Analysis:
    """The same with a heat map that explains a lobe; covid-severity has none."""
    heat = np.where(analysis.label_map("lobes").labels == 1, 40, 0).astype(np.uint8)
    return replace(analysis, explanations=(HeatMap("upper", "Upper lobe", "RUL", heat),))


def objects_of(ct: CT, analysis: Analysis, notice_of: Dataset, reason: Reason, **context: Any) -> Objects:
    """What is made of an analysis. context: changes to that of the other tests."""
    found = evidence_samples.encoded(ct, analysis, evidence_samples.context(ct, **context), SELECTIONS)
    refusals = {str(notice_of.SeriesInstanceUID): (Refusal(reason, ""),)}
    notice = encode_notice([notice_of], refusals, notice_samples.context([notice_of], **context))
    objects: dict[str, list[Dataset]] = {}
    for one in (*found, *notice):
        if one.sop_class_uid:
            objects.setdefault(kind_of(one), []).append(dcmread(BytesIO(one.content)))
    return objects


def _result(name: str) -> Result:
    scan = make_ct.make(
        findings=make_ct.FINDINGS, rows=32, columns=40, pixel_mm=(10.0, 10.0), slices=22, spacing_mm=10.0
    )
    ct, _ = evidence_samples.from_phantom(scan)
    ct = _with_all_attributes(ct, 2 if name == "ct" else 1)
    if name == "lossy":
        _compressed_with_loss(ct.headers[3])
    other, context = name == "analysis", _CONTEXTS.get(name, {})
    lobes, findings = scan.truth.lobe_mask, scan.truth.finding_mask
    if other:  # one segment, on slices without a gap
        findings = (lobes == 1).astype(np.uint8)
    analysis = with_axis(ct, with_heat_map(evidence_samples.analysis_of(ct, lobes, findings)))
    models = analysis.models[:1] if other else analysis.models
    analysis = replace(analysis, models=models, pipeline=context.get("pipeline", analysis.pipeline))
    if name == "comparison":
        analysis = replace(analysis, comparison=COMPARISON)
    reason = Reason.TOO_FEW if other else Reason.TOO_THICK
    return ct.headers[0], objects_of(ct, analysis, ct.headers[0], reason, **context)


def _with_all_attributes(ct: CT, number: int) -> CT:
    """The CT with the sample's attributes of that number which describe no image."""
    sample = sample_ct(number).headers[0]
    others = [one for one in sample if "UID" not in one.keyword and one.keyword not in _OF_IMAGES]
    headers = tuple(deepcopy(one) for one in ct.headers)
    uids = {str(one): str(generate_uid(entropy_srcs=[str(number), str(one)])) for one in _identifiers(headers)}
    for header in headers:
        header.update({one.tag: one for one in deepcopy(others)})
        for keyword in (*_IDENTIFIERS, "SOPInstanceUID"):
            setattr(header, keyword, uids[str(header[keyword].value)])
    volume = ct.volume
    volume = type(volume)(
        volume.array, volume.affine, volume.coordinate_system, frame_of_reference_uid=headers[0].FrameOfReferenceUID
    )
    return CT(headers, volume)


_OF_IMAGES = (
    "SpecificCharacterSet",
    "ImageType",
    "InstanceNumber",
    "Modality",
    "Rows",
    "Columns",
    "PixelSpacing",
    "SliceThickness",
    "ImageOrientationPatient",
    "ImagePositionPatient",
)


def _identifiers(headers: tuple[Dataset, ...]) -> list[str]:
    return [str(one[keyword].value) for one in headers for keyword in (*_IDENTIFIERS, "SOPInstanceUID")]


def _compressed_with_loss(header: Dataset) -> None:
    header.LossyImageCompression = "01"
    header.LossyImageCompressionRatio, header.LossyImageCompressionMethod = 8, "ISO_14495_1"
