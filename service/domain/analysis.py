"""The result of an image analysis, whatever was analysed: what the encoders of SEG, SR, PDF and JSON work from.

Every number carries its coded concept and its UCUM unit, every region its coded category, type and site. Nothing here
knows a pipeline.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydicom.sr.coding import Code

from service.domain import codes
from service.domain.comparison import Comparison
from service.domain.contradictions import contradictions
from service.domain.flags import Flag, doubts
from service.domain.model_spec import ModelSpec
from service.domain.rounding import rounded

LabelArray = NDArray[np.uint8]


Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Site:
    """Where in the body something is. laterality: modifier of the region, None where the region says it."""

    region: Code
    laterality: Code | None = None


class RoiType(StrEnum):
    """What a segment is in radiotherapy planning: RT ROI Interpreted Type (PS3.3 C.8.8.8.1)."""

    GROSS_TUMOUR_VOLUME = "GTV"
    ORGAN = "ORGAN"


@dataclass(frozen=True, slots=True)
class Segment:
    """One label of a label map.

    label: its value, 1 to 255. name: tracking identifier, unique in the analysis ("RUL"). title: Segment Label.
    category, type: Segmented Property Category and Type. laterality: modifier of the type. region: Anatomic Region.
    roi_type: in an RT Structure Set; None: an organ where the category is Anatomical Structure, else unknown.
    """

    label: int
    name: str
    title: str
    category: Code
    type: Code
    rgb: Rgb
    laterality: Code | None = None
    region: Code = codes.LUNG
    roi_type: RoiType | None = None


@dataclass(frozen=True, slots=True)
class LabelMapKind:
    """A label map that a pipeline produces.

    name: of its files ("lobes" for lobes.seg.dcm) and the kind of its objects. title: in Series Descriptions.
    concept: names it where the root of a result refers to it. outlined: whether its segments have an outline; scattered
    voxels have none, and no RT Structure Set has them.
    """

    name: str
    title: str
    concept: Code
    outlined: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """Segments on the source grid. labels: uint8, axes (slice, row, column); 0 is background."""

    kind: LabelMapKind
    labels: LabelArray
    segments: tuple[Segment, ...]

    @property
    def name(self) -> str:
        return self.kind.name

    @property
    def present(self) -> tuple[Segment, ...]:
        """Segments that have voxels; ValueError if a voxel has a label that no segment describes."""
        counts = np.zeros(256, np.int64)
        for plane in self.labels:
            counts += np.bincount(plane[plane > 0], minlength=256)  # of zeros, which are most, nobody asks
        found = set(np.flatnonzero(counts).tolist())
        if unknown := sorted(found - {0, *(segment.label for segment in self.segments)}):
            raise ValueError(f"{self.name} has labels without a segment: {', '.join(map(str, unknown))}")
        return tuple(segment for segment in self.segments if segment.label in found)


Point = tuple[float, float, float]
"""In the frame of reference of the CT, LPS, in mm (PS3.3 C.7.6.2.1.1)."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number, unrounded.

    name: in result.json, with its unit ("volume_ml"). derivation, method: as in TID 300. line: the points between which
    it was measured, for instance the ends of a long axis; none where it was not measured along a line. drawn: whether
    SRs tell the line; one across slices makes an SR that many archives do not take (docs/decisions/0199).
    """

    name: str
    concept: Code
    value: float
    unit: Code
    derivation: Code | None = None
    method: Code | None = None
    line: tuple[Point, ...] = ()
    drawn: bool = True

    @property
    def along(self) -> bool:
        """Whether SRs tell it with its line."""
        return self.drawn and bool(self.line)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One coded statement: what was judged, and the judgement."""

    concept: Code
    value: Code


@dataclass(frozen=True, slots=True)
class MeasurementGroup:
    """Measurements and evaluations of one thing.

    name: tracking identifier, the same as its segment's where it is about one. finding: what is measured. site: where.
    category: of the finding, for a group about a segment. segment: name of that segment; None: about the whole study.
    """

    name: str
    finding: Code
    site: Site
    measurements: tuple[Measurement, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    category: Code | None = None
    segment: str | None = None

    def __getitem__(self, name: str) -> float:
        """The value of the measurement of that name; KeyError if there is none."""
        for measurement in self.measurements:
            if measurement.name == name:
                return measurement.value
        raise KeyError(name)


_EXPERIMENTAL = "Classification: experimental, not validated on patients of other hospitals."


@dataclass(frozen=True, slots=True)
class ClassProbability:
    """Probability of one class, 0 to 1. title: the class as reports print it."""

    concept: Code
    title: str
    value: float


@dataclass(frozen=True, slots=True)
class Classification:
    """Which class a CT belongs to.

    name: tracking identifier. finding: what is classified. probabilities: empty where there is no model for it.
    absent: says in that case why. decision: the class that the pipeline decides for, None if it leaves that open; its
    meaning is the title of one of the probabilities. experimental: the model was not validated on patients of other
    hospitals; every report warns of it.
    """

    name: str
    finding: Code
    concept: Code
    probabilities: tuple[ClassProbability, ...] = ()
    absent: Code | None = None
    decision: Code | None = None
    experimental: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know with it, in sentences."""
        return (_EXPERIMENTAL,) if self.experimental else ()


GREATEST_HEAT = 255
"""The greatest value of a heat map."""


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """What made a model decide, on the source grid.

    name: of its file ("covid" for heat-map.covid.pm.dcm). title: for people. explains: name of the classification or
    group. values: uint8, axes (slice, row, column); 0: no influence, 255: full influence. A map that would be 0
    everywhere is left out.
    """

    name: str
    title: str
    explains: str
    values: LabelArray


_LARGE = 100_000.0
"""Six digits are printed of a number; of larger ones all before the point."""


@dataclass(frozen=True, slots=True)
class Headline:
    """The one result to show in a list.

    value: None where it could not be determined. maximum: of its scale, None for an open one. category: in one word.
    words: what the value means, or why there is none. remark: what a reader must know with it.
    """

    name: str
    value: float | None
    unit: Code
    maximum: float | None = None
    category: str | None = None
    words: str = ""
    remark: str = ""

    @property
    def value_in_words(self) -> str:
        """ "3 of 25", "12.3 mL" or "no value"."""
        if self.value is None:
            return "no value"
        value = rounded(self.value, self.unit)
        return f"{value:g} of {self.maximum:g}" if self.maximum is not None else self._with_unit(value)

    @property
    def sentence(self) -> str:
        """Name, value, meaning and remark."""
        value = () if self.value is None else (self.value_in_words,)
        said = f"{self.name}: {', '.join(filter(None, (*value, self.words)))}"
        return f"{said}; {self.remark}." if self.remark else f"{said}."

    def _with_unit(self, value: float) -> str:
        text = f"{value:g}" if abs(value) < _LARGE else f"{value:.0f}"
        if self.unit in (codes.SCORE, codes.UNITY):
            return text
        return f"{text} {'%' if self.unit == codes.PERCENT else self.unit.meaning}"


@dataclass(frozen=True, slots=True)
class ModelUse:
    """Exactly which weights made a result. runs_on: the provider that computed them; "" for the CPU or a server."""

    name: str
    version: str
    sha256: str
    runs_on: str = ""

    @classmethod
    def of(cls, spec: ModelSpec) -> Self:
        return cls(spec.name, spec.version, spec.sha256, spec.runs_on)


@dataclass(frozen=True, slots=True)
class PipelineUse:
    """Which pipeline made a result, and in which version of its rules. series_number: start of its block."""

    name: str
    version: str
    series_number: int

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """The result of one pipeline on one CT.

    voxel_ml: volume of one voxel of the label maps. groups: measurements about segments and about the study, in the
    order to show them. uncertainty: how sure the models are, for the quality group. limitations: what the models cannot
    tell, coded. summary: the result in sentences. urgent: whether the study is to be read first. drift: what is watched
    over many studies, by name. explanations: what made the models decide. rank: how early the CT is to be read, 0 to 1,
    1 the first; None if the pipeline does not tell. comparison: with an earlier CT, None without one.
    """

    pipeline: PipelineUse
    label_maps: tuple[LabelMap, ...]
    voxel_ml: float
    groups: tuple[MeasurementGroup, ...]
    headline: Headline
    models: tuple[ModelUse, ...]
    flags: tuple[Flag, ...]
    classification: Classification | None = None
    uncertainty: tuple[Measurement, ...] = ()
    limitations: tuple[Code, ...] = ()
    summary: tuple[str, ...] = ()
    urgent: bool = False
    drift: Mapping[str, float] = field(default_factory=dict)
    explanations: tuple[HeatMap, ...] = ()
    rank: float | None = None
    comparison: Comparison | None = None

    def __post_init__(self) -> None:
        """ValueError for a result that contradicts itself: no object is built of it."""
        if found := list(contradictions(self)):
            raise ValueError(f"the result of {self.pipeline} contradicts itself: {'; '.join(found)}")

    def label_map(self, name: str) -> LabelMap:
        """The label map of that name; KeyError if there is none."""
        return {one.name: one for one in self.label_maps}[name]

    def group(self, name: str) -> MeasurementGroup:
        """The group of that name; KeyError if there is none. A segment's group has the segment's name."""
        return {one.name: one for one in self.groups}[name]

    @property
    def doubts(self) -> tuple[str, ...]:
        """Reasons why the headline may be wrong."""
        return doubts(self.flags)
