"""Results of samples, encoded as every result is: each differs from the first in one thing that it is made from."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from types import MappingProxyType

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage

from service.conformance.sample_ct import compressed_with_loss, sample_ct
from service.domain import codes
from service.domain.analysis import (
    Analysis,
    Headline,
    HeatMap,
    LabelMap,
    LabelMapKind,
    Measurement,
    MeasurementGroup,
    ModelUse,
    PipelineUse,
    Segment,
    Site,
)
from service.domain.comparison import Change, Comparison, FindingChange, Match, PriorObject
from service.domain.ct import CT
from service.domain.report import Card, Figure, Picture, ReportBody, Table
from service.errors import Reason, Refusal
from service.evidence.context import (
    ALWAYS,
    CAPTURE,
    HEAT_MAP,
    SEG,
    STRUCTURE_SET,
    TEXT,
    Earlier,
    EvidenceContext,
    Predecessor,
    SegKind,
    Selection,
    Style,
    is_segmentation,
)
from service.evidence.encode import encode
from service.evidence.notice import encode_notice

_AT = datetime(2024, 5, 1, 14, 5, 30, tzinfo=UTC)
_CONTEXT = EvidenceContext("1", _AT, PipelineUse("sample", "1", 0))
_KINDS = ALWAYS | {CAPTURE.kind, HEAT_MAP.kind, STRUCTURE_SET.kind, TEXT.kind}
_SELECTIONS = (Selection(Style(), _KINDS), Selection(Style(SegKind.LABELMAP), _KINDS))

FIRST = "first"
CHANGES = MappingProxyType(
    {
        "time": "date and time of the analysis",
        "number": "number of the result",
        "version": "version of the software",
        "pipeline": "pipeline",
        "institution": "`institution`",
        "earlier": "the result that is replaced",
        "analysis": "the analysis",
        "comparison": "the comparison with an earlier CT",
        "lossy": "a CT compressed with loss",
        "ct": "the CT",
    }
)
"""What a result is made from, by the name of the sample in which it is another."""

_CONTEXTS = {
    "time": replace(_CONTEXT, analysed_at=_AT + timedelta(days=1, hours=1)),
    "number": replace(_CONTEXT, number=2),
    "version": replace(_CONTEXT, software_version="2"),
    "pipeline": replace(_CONTEXT, pipeline=PipelineUse("another", "2", 10_000)),
    "institution": replace(_CONTEXT, institution="Hospital"),
    "earlier": replace(
        _CONTEXT, replaces=Earlier(1, _AT, False, (Predecessor(Comprehensive3DSRStorage, "1.2.3", "1.2.4", "1.2.5"),))
    ),
}

_CHANGE = Change("1-1", "volume_ml", "Volume", codes.MILLILITRE, 0.5, 1.0, 366, codes.VOLUME)
_COMPARISON = Comparison(
    study_uid="1.2.6",
    series_uid="1.2.6.1",
    acquired=_AT.replace(year=2023, tzinfo=None),
    days=366,
    result="sample 1, v1",
    headline="Volume: 0.5 mL",
    numbers=(_CHANGE,),
    findings=(FindingChange("Region 1 of 1", Match.MATCHED, "1-1", "1-1", (replace(_CHANGE, group="alone"),)),),
    overlap=0.95,
    remarks=("Another version of the pipeline: 0.9 then, 1 now.",),
    objects=(PriorObject("study", Comprehensive3DSRStorage, "1.2.6.2", "1.2.6.3"),),
)

Objects = Mapping[str, Dataset]
"""Objects of one result, by kind; label maps are `SEG` and `LABEL_MAP`."""

LABEL_MAP = "label-map"


@cache
def sample_results() -> Mapping[str, tuple[Dataset, Objects]]:
    """The header that attributes are copied from, and the objects, by the name of the sample."""
    return MappingProxyType({name: (_ct(name).headers[0], dict(_objects(name))) for name in (FIRST, *CHANGES)})


def _objects(name: str) -> Iterator[tuple[str, Dataset]]:
    ct, context = _ct(name), _CONTEXTS.get(name, _CONTEXT)
    analysis = _analysis(ct, 2 if name == "analysis" else 1, context.pipeline)
    if name == "comparison":
        analysis = replace(analysis, comparison=_COMPARISON)
    seen = set[str]()
    for one in encode(ct, analysis, _body, context, _SELECTIONS):
        if one.sop_instance_uid is None:
            continue
        labels = one.style is not None and one.style.seg is SegKind.LABELMAP
        kind = (LABEL_MAP if labels else SEG) if is_segmentation(one.kind) else one.kind
        if kind not in seen:
            seen.add(kind)
            yield kind, dcmread(BytesIO(one.content))
    refusals = {ct.series_uid: (Refusal(Reason.TOO_FEW if name == "analysis" else Reason.TOO_THICK, ""),)}
    for one in encode_notice([ct.headers[0]], refusals, context):
        if one.sop_instance_uid is not None:
            yield one.kind, dcmread(BytesIO(one.content))


def _ct(name: str) -> CT:
    ct = sample_ct(2 if name == "ct" else 1)
    return compressed_with_loss(ct) if name == "lossy" else ct


def _analysis(ct: CT, number: int, pipeline: PipelineUse) -> Analysis:
    """An analysis with so many label maps, the first one with so many segments."""
    labels = np.zeros(ct.volume.spatial_shape, np.uint8)
    for label in range(1, number + 1):
        labels[label - 1 : label + 1, label : label + 2, 1:3] = label
    category, kind = (codes.ANATOMY, codes.LUNG) if number == 1 else (codes.MORPHOLOGY, codes.ANATOMY)
    side, region = (codes.LEFT, codes.LUNG) if number == 1 else (codes.RIGHT, codes.ANATOMY)
    segments = tuple(
        Segment(label, f"{number}-{label}", f"Region {label} of {number}", category, kind, (50, 9, 9), side, region)
        for label in range(1, number + 1)
    )
    volume = Measurement("volume_ml", codes.VOLUME, float(number), codes.MILLILITRE)
    ends = ct.volume.map_indices_to_reference(np.array([[0, 1, 1], [0, 1, 2]], np.float64)).tolist()
    axis = Measurement("axis_mm", codes.VOLUME, float(number), codes.MILLIMETRE, line=tuple(map(tuple, ends)))
    groups = tuple(
        MeasurementGroup(one.name, kind, Site(region, side), (volume, axis), category=category, segment=one.name)
        for one in segments
    )
    alone = replace(segments[0], label=1, name=f"{number}-alone", title="Region alone")
    maps = (
        LabelMap(LabelMapKind(f"regions{number}", f"AI regions {number}", region), labels, segments),
        LabelMap(LabelMapKind("alone", "AI region alone", region), (labels == 1).astype(np.uint8), (alone,)),
    )
    return Analysis(
        pipeline=pipeline,
        label_maps=maps[:number],
        voxel_ml=ct.voxel_ml,
        groups=groups,
        headline=Headline("Volume", float(number), codes.MILLILITRE),
        models=tuple(ModelUse(f"model{n}", str(number), str(number) * 64) for n in range(number)),
        flags=(),
        explanations=(HeatMap(f"map{number}", f"Map {number}", segments[0].name, labels * (100 // number)),),
    )


def _body() -> ReportBody:
    picture = Figure(Picture(np.zeros((4, 4, 3), np.uint8), 1.0), "Sample")
    card = Card("Sample", "1")
    return ReportBody(
        title="Sample",
        cards=(card, card, card),
        table=Table("Region", (), ()),
        large=(picture, picture),
        small=(picture, picture),
        legend=(),
        scale="none",
        notes_heading="Notes",
        notes=(),
        findings=("Sample.",),
    )
