"""Shared parts of the Structured Reports: document, observer, one image in the library, values with units.

Comprehensive 3D SR, TID 1500. Region groups (TID 1411) and study groups (TID 1501) go into separate documents: one
document with both makes validators report false errors.
"""

from collections.abc import Sequence
from copy import copy

from highdicom import sr
from pydicom import Dataset
from pydicom.uid import BasicTextSRStorage, Comprehensive3DSRStorage

from service.domain import codes
from service.domain.analysis import Measurement, Site
from service.domain.rounding import rounded
from service.evidence import equipment
from service.evidence.case import Case
from service.evidence.context import EvidenceContext, Product
from service.evidence.series import series
from service.evidence.sr_coordinates import Coordinates
from service.evidence.uids import Uids

_DOCUMENTS = (Comprehensive3DSRStorage, BasicTextSRStorage)

Group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations


def document(
    product: Product,
    case: Case,
    groups: Sequence[Group],
    evidence: Sequence[Dataset] = (),
    more: Sequence[sr.ContentItem] = (),
    variant: Sequence[str] = (),
) -> sr.Comprehensive3DSR:
    """An unverified, preliminary measurement report.

    evidence: objects it refers to besides the CT. more: content after the measurements; TID 1500 is extensible.
    variant: tells documents of one product apart.
    """
    result = sr.Comprehensive3DSR(
        evidence=[*case.sources, *evidence],
        content=_content(case, groups, more),
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=predecessors(case.context) or None,
        contributing_equipment=equipment.contributing_equipment(case.analysis),
        **series(case, product, *variant),
        **equipment.equipment(case.context),
    )
    result.CodingSchemeIdentificationSequence = [private_scheme()]
    return result


def _content(case: Case, groups: Sequence[Group], more: Sequence[sr.ContentItem]) -> sr.MeasurementReport:
    """The algorithms (TID 4019) are identified once, for the whole document, and not in each group."""
    report = sr.MeasurementReport(
        observation_context=observer(case.context),
        procedure_reported=codes.PROCEDURE,
        imaging_measurements=groups,
        title=codes.REPORT_TITLE,
        referenced_images=[_library_image(case)],
        language_of_content_item_and_descendants=english(),
    )
    items = list(report[0].ContentSequence)
    head = [item for item in items if item.ValueType != "CONTAINER"]
    containers = [item for item in items if item.ValueType == "CONTAINER"]
    algorithms = equipment.sr_algorithm(case.analysis, case.analysis.headline.name)
    report[0].ContentSequence = sr.ContentSequence([*head, *algorithms, *containers, *more])
    _write_integers(report[0])
    return report


def _write_integers(item: Dataset) -> None:
    """Whole numbers as "3": pydicom writes "3.0" of an integer too, and readers take pixels and scores for reals."""
    for measured in item.get("MeasuredValueSequence", []):
        if float(measured.NumericValue).is_integer():
            measured.NumericValue = str(int(measured.NumericValue))
    for child in item.get("ContentSequence", []):
        _write_integers(child)


def tracking(uids: Uids, name: str) -> sr.TrackingIdentifier:
    """Tracking identifiers are unique per group of a document: viewers merge groups by them.

    The SR of axes repeats that of a segment for what was measured of it along lines.
    """
    return sr.TrackingIdentifier(uids("tracking", name), name)


def number(measured: Measurement, along: Coordinates | None = None) -> sr.Measurement:
    """One measurement, rounded as numbers of its unit are everywhere. along: what it was measured along."""
    value = rounded(measured.value, measured.unit)
    return sr.Measurement(
        measured.concept,
        value,
        measured.unit,
        derivation=measured.derivation,
        method=measured.method,
        referenced_coordinates=None if along is None else [along],
    )


def finding_site(site: Site) -> sr.FindingSite:
    """TID 1500's site, with its laterality."""
    return sr.FindingSite(site.region, site.laterality)


def predecessors(context: EvidenceContext) -> list[Dataset]:
    """The documents that this one replaces (PS3.3 C.17.2); each of ours follows all of the earlier ones."""
    documents = []
    for predecessor in context.replaces.objects if context.replaces else ():
        if predecessor.sop_class_uid in _DOCUMENTS:
            document = Dataset()
            document.SOPClassUID = predecessor.sop_class_uid
            document.SOPInstanceUID = predecessor.sop_instance_uid
            document.SeriesInstanceUID = predecessor.series_uid
            document.StudyInstanceUID = predecessor.study_uid
            documents.append(document)
    return documents


def english() -> sr.LanguageOfContentItemAndDescendants:
    """TID 1204."""
    return sr.LanguageOfContentItemAndDescendants(sr.CodedConcept.from_code(codes.ENGLISH))


def observer(context: EvidenceContext) -> sr.ObservationContext:
    """Our software as the observing device (TID 1004); its UID changes with the software's version."""
    attributes = sr.DeviceObserverIdentifyingAttributes(
        uid=Uids("device")(context.software_version),
        name=equipment.MANUFACTURER,
        manufacturer_name=equipment.MANUFACTURER,
        model_name=equipment.MODEL_NAME,
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(sr.CodedConcept.from_code(codes.DEVICE), attributes)
    )


def _library_image(case: Case) -> Dataset:
    """The first image; an Enhanced CT with the geometry of its first slice where TID 1604 looks for it."""
    if not case.ct.frame_numbers:
        return case.header
    image = copy(case.header)
    volume = case.ct.volume
    image.update(volume.get_pixel_measures()[0])
    image.update(volume.get_plane_orientation()[0])
    image.update(volume.get_plane_positions()[0][0])
    return image


def private_scheme() -> Dataset:
    """Item of the Coding Scheme Identification Sequence (PS3.3 C.12.1.1.1)."""
    item = Dataset()
    item.CodingSchemeDesignator = codes.PRIVATE
    item.CodingSchemeName = codes.PRIVATE_NAME
    item.CodingSchemeResponsibleOrganization = equipment.MANUFACTURER
    return item
