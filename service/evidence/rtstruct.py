"""All segments of a result as one RT Structure Set (PS3.3 A.19.3), which radiotherapy planning reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import highdicom as hd
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage
from pydicom.valuerep import DA, TM

from service.domain import codes
from service.domain.analysis import RoiType, Segment
from service.domain.ports import Step, no_step
from service.evidence import equipment
from service.evidence.case import Case
from service.evidence.context import STRUCTURE_SET
from service.evidence.contours import MOST_CONTOURS, Planes, contours
from service.evidence.replaced import replaces
from service.evidence.series import series, written_at
from service.evidence.source import patient_and_study, sop_reference
from service.evidence.sr import private_scheme

_DETACHED_STUDY = "1.2.840.10008.3.1.2.3.1"
"""SOP class that a study is referred to by: retired, and still what the standard asks for (PS3.3 C.8.8.5)."""

_LABEL, _NAME, _DESCRIPTION = 16, 64, 1024
"""Most characters of SH, LO and ST (PS3.5 6.2)."""

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Rois:
    """Each segment with its contours, and the segments that are left out: they have too many."""

    outlined: tuple[tuple[Segment, list[Dataset]], ...]
    left_out: tuple[Segment, ...]


def structure_set(case: Case, step: Step = no_step) -> "StructureSet | None":
    """The segments with voxels of all label maps that are outlined, in their order; None when there is none.

    step: called for each slice of each segment.
    """
    planes, outlined, left_out = Planes.of(case), list[tuple[Segment, list[Dataset]]](), list[Segment]()
    for label_map in case.analysis.label_maps:
        if not label_map.kind.outlined:
            continue
        found = contours(label_map, planes, step)
        for segment in label_map.present:
            items = found[segment.label]
            if items is None:
                left_out.append(segment)
            else:
                outlined.append((segment, items))
    return StructureSet(case, Rois(tuple(outlined), tuple(left_out))) if outlined else None


class StructureSet(hd.SOPClass):
    """highdicom has no class for this IOD; patient and study attributes are copied as it does for SEG and SR."""

    def __init__(self, case: Case, rois: Rois) -> None:
        header = case.header
        super().__init__(
            sop_class_uid=RTStructureSetStorage,
            modality="RTSTRUCT",
            transfer_syntax_uid=ExplicitVRLittleEndian,
            **series(case, STRUCTURE_SET),
            **patient_and_study(header),
            **equipment.equipment(case.context),
        )
        self.copy_patient_and_study_information(header)
        self._add_contributing_equipment(equipment.contributing_equipment(case.analysis), header)
        self.OperatorsName = ""  # type 2: nobody operated it
        self.FrameOfReferenceUID = header.FrameOfReferenceUID
        self.PositionReferenceIndicator = ""
        self.CodingSchemeIdentificationSequence = [private_scheme()]
        self._add_structures(case, rois)
        self._add_contours(rois)
        self._add_observations(rois)
        self.ApprovalStatus = "UNAPPROVED"

    def _add_structures(self, case: Case, rois: Rois) -> None:
        """Structure Set module (PS3.3 C.8.8.5). ROI Name: the segment's name, of which there is one in a result.

        Two pipelines may have ROIs of one name: the label, whose number is never cut, tells which this is.
        """
        at = written_at(case)
        self.StructureSetLabel = f"AI v{case.context.number} {case.analysis.pipeline.name}"[:_LABEL].rstrip()
        self.StructureSetName = self.SeriesDescription[:_NAME]
        self.StructureSetDescription = _description(case, rois.left_out)
        self.StructureSetDate, self.StructureSetTime = DA(at.date()), TM(at.time())
        self.ReferencedFrameOfReferenceSequence = [_frame_of_reference(case)]
        algorithms = equipment.segment_algorithms(case.analysis)
        items = []
        for number, (segment, _) in enumerate(rois.outlined, start=1):
            item = Dataset()
            item.ROINumber = number
            item.ReferencedFrameOfReferenceUID = case.header.FrameOfReferenceUID
            item.ROIName = segment.name[:_NAME]
            item.ROIDescription = segment.title
            item.ROIGenerationAlgorithm = "AUTOMATIC"
            item.ROIGenerationDescription = algorithms[0].AlgorithmName
            item.ROIDerivationAlgorithmIdentificationSequence = algorithms
            items.append(item)
        self.StructureSetROISequence = items

    def _add_contours(self, rois: Rois) -> None:
        """ROI Contour module (PS3.3 C.8.8.6)."""
        items = []
        for number, (segment, found) in enumerate(rois.outlined, start=1):
            item = Dataset()
            item.ReferencedROINumber = number
            item.ROIDisplayColor = list(segment.rgb)
            item.ContourSequence = found
            items.append(item)
        self.ROIContourSequence = items

    def _add_observations(self, rois: Rois) -> None:
        """RT ROI Observations module (PS3.3 C.8.8.8)."""
        self.RTROIObservationsSequence = [
            _observation(number, segment) for number, (segment, _) in enumerate(rois.outlined, start=1)
        ]


def _observation(number: int, segment: Segment) -> Dataset:
    """What an ROI is: the codes that the segment has in a Segmentation, and its type for planning."""
    kind = CodedConcept.from_code(segment.type)
    if segment.laterality is not None:
        kind.SegmentedPropertyTypeModifierCodeSequence = [CodedConcept.from_code(segment.laterality)]
    item = Dataset()
    item.ObservationNumber = number
    item.ReferencedROINumber = number
    item.SegmentedPropertyCategoryCodeSequence = [CodedConcept.from_code(segment.category)]
    item.RTROIIdentificationCodeSequence = [kind]
    item.AnatomicRegionSequence = [CodedConcept.from_code(segment.region)]
    item.RTROIInterpretedType = _roi_type(segment)
    item.ROIInterpreter = ""
    return item


def _roi_type(segment: Segment) -> str:
    """What the pipeline declares; an anatomical structure is an organ; else empty, as nobody knows (type 2)."""
    if segment.roi_type is None:
        return RoiType.ORGAN if segment.category == codes.ANATOMY else ""
    return segment.roi_type


def _frame_of_reference(case: Case) -> Dataset:
    """Every image of the CT, also those without a contour: planning systems count them."""
    images = Dataset()
    images.SeriesInstanceUID = case.header.SeriesInstanceUID
    images.ContourImageSequence = [sop_reference(source) for source in case.sources]
    study = Dataset()
    study.ReferencedSOPClassUID = _DETACHED_STUDY
    study.ReferencedSOPInstanceUID = case.header.StudyInstanceUID
    study.RTReferencedSeriesSequence = [images]
    item = Dataset()
    item.FrameOfReferenceUID = case.header.FrameOfReferenceUID
    item.RTReferencedStudySequence = [study]
    return item


def _description(case: Case, left_out: Sequence[Segment]) -> str:
    """Use limitation, what is replaced or left out, warnings. Those that find no room are counted, never cut."""
    warnings = list(case.warnings)
    first = [f"{codes.RESEARCH_USE.meaning}.", "Made automatically, not reviewed.", *replaces("structure set", case)]
    if left_out:
        names = ", ".join(segment.name for segment in left_out[:_MOST_NAMED])
        first.append(f"Left out, as more than {MOST_CONTOURS} outlines would be needed: {names}.")
    while len(text := " ".join((*first, *_fitting(warnings, len(case.warnings))))) > _DESCRIPTION:
        warnings.pop()
    return text


def _fitting(warnings: list[str], count: int) -> Iterator[str]:
    yield from warnings
    if len(warnings) < count:
        yield f"{count - len(warnings)} more warnings are in the report."
