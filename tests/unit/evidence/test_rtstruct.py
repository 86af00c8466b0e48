"""The RT Structure Set: contours on the slices of the CT that are the masks again, read by another reader."""

import dataclasses
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from helpers import enhanced_ct, evidence_samples, make_ct
from helpers.filled_contours import masks
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes as dicom
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage
from scipy.spatial.transform import Rotation

from service.domain import codes
from service.domain.analysis import Analysis, Headline, LabelMap, LabelMapKind, RoiType, Segment
from service.domain.ct import CT
from service.domain.flags import Flag
from service.evidence import contours
from service.evidence.case import Case
from service.evidence.context import ALWAYS, PRODUCTS, STRUCTURE_SET, EvidenceContext, Selection
from service.evidence.contours import MOST_CORNERS
from service.evidence.rtstruct import structure_set
from service.evidence.seal import seal
from service.imaging.read import read_ct

SMALL: dict[str, Any] = {"slices": 24, "spacing_mm": 9.0, "rows": 36, "columns": 48, "pixel_mm": (8.3, 7.7)}
OBLIQUE = Rotation.from_euler("xyz", (6.0, -9.0, 4.0), degrees=True).apply(np.eye(3)[:2])
SCANS: dict[str, dict[str, Any]] = {
    "axial": {},
    "reversed": {"feet_first_numbers": True},
    "feet first": {"orientation": "FFS"},
    "prone": {"orientation": "HFP"},
    "decubitus": {"orientation": "FFDR"},
    "oblique": {"iop": tuple(OBLIQUE.ravel().tolist())},
}
REGIONS = (
    Segment(1, "LEFT", "Left", codes.ANATOMY, codes.LUNG, (10, 20, 30), codes.LEFT),
    Segment(2, "RING", "Ring", codes.MORPHOLOGY, dicom.SCT.Lesion, (40, 50, 60)),
    Segment(3, "ISLANDS", "Islands", codes.MORPHOLOGY, dicom.SCT.Lesion, (70, 80, 90)),
    Segment(9, "EMPTY", "Empty", codes.MORPHOLOGY, dicom.SCT.Lesion, (0, 0, 0)),
)
TUMOUR = Segment(
    1, "GTV-1", "Tumour", codes.MORPHOLOGY, dicom.SCT.Neoplasm, (255, 0, 255), roi_type=RoiType.GROSS_TUMOUR_VOLUME
)


def regions() -> np.ndarray:
    """An ellipsoid; a ring with an island in its hole; islands, of one pixel too, and what touches the border."""
    labels = np.zeros((SMALL["slices"], SMALL["rows"], SMALL["columns"]), np.uint8)
    slices, rows, columns = np.indices(labels.shape)
    labels[((slices - 8) / 6) ** 2 + ((rows - 14) / 9) ** 2 + ((columns - 12) / 7) ** 2 <= 1] = 1
    labels[5:9, 5:25, 25:45], labels[5:9, 9:20, 30:40], labels[5:9, 14, 34:36] = 2, 0, 2
    labels[12, :, 40:], labels[12, 3:6, 30:34], labels[12, 20, 33], labels[23, 0, 0] = 3, 3, 3, 3
    return labels


def tumour() -> np.ndarray:
    """Overlaps regions of the other label map."""
    labels = np.zeros((SMALL["slices"], SMALL["rows"], SMALL["columns"]), np.uint8)
    labels[4:14, 10:20, 8:31] = 1
    return labels


def analysis_of(ct: CT, **changes: Any) -> Analysis:
    found = Analysis(
        pipeline=evidence_samples.PIPELINE,
        label_maps=(
            LabelMap(LabelMapKind("regions", "AI regions", codes.LUNG), regions(), REGIONS),
            LabelMap(LabelMapKind("tumour", "AI tumour", codes.LUNG), tumour(), (TUMOUR,)),
        ),
        voxel_ml=ct.voxel_ml,
        groups=(),
        headline=Headline("Volume", 1.0, codes.MILLILITRE),
        models=evidence_samples.MODELS,
        flags=(),
    )
    return dataclasses.replace(found, **changes)


def scanned(name: str) -> CT:
    return evidence_samples.from_phantom(make_ct.make(**SMALL, **SCANS[name]))[0]


def content(ct: CT, analysis: Analysis | None = None, context: EvidenceContext | None = None) -> bytes:
    case = Case.of(ct, analysis or analysis_of(ct), context or evidence_samples.context(ct))
    made = structure_set(case)
    assert made is not None
    return seal(made, case.context.analysed_at, case.header, case.uids)


def read(*arguments: Any) -> Dataset:
    return dcmread(BytesIO(content(*arguments)))


@pytest.fixture(scope="module")
def axial() -> CT:
    return scanned("axial")


@pytest.fixture(scope="module")
def structures(axial: CT) -> Dataset:
    return read(axial)


def assert_masks_come_back(structures: Dataset, images: list[Dataset]) -> None:
    found = masks(structures, images, within_mm=0.002)
    expected = {one.name: regions() == one.label for one in REGIONS[:3]} | {"GTV-1": tumour() == 1}
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("name", SCANS)
def test_masks_come_back_on_the_images(name: str) -> None:
    ct = scanned(name)
    assert_masks_come_back(read(ct), list(ct.headers))


def test_contours_lie_where_the_affine_puts_the_voxels() -> None:
    """The middle of a box, in the patient."""
    ct = scanned("oblique")
    (roi,) = [one for one in read(ct).ROIContourSequence if one.ReferencedROINumber == 4]
    points = np.concatenate([np.array(one.ContourData, float).reshape(-1, 3) for one in roi.ContourSequence])
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    assert middle == pytest.approx((ct.volume.affine @ [8.5, 14.5, 19.0, 1.0])[:3], abs=0.01)


def test_a_slice_with_a_rounded_position_keeps_its_own_plane(axial: CT) -> None:
    headers = [Dataset(one) for one in axial.headers]
    x, y, z = headers[7].ImagePositionPatient
    headers[7].ImagePositionPatient = [x, y, float(z) + 0.05]
    ct = dataclasses.replace(axial, headers=tuple(headers))
    assert_masks_come_back(read(ct), headers)


@pytest.mark.parametrize("reverse", [False, True])
def test_frames_of_an_enhanced_ct_are_referred_to_by_number(reverse: bool) -> None:
    scan = make_ct.make(**SMALL)
    ct = read_ct([enhanced_ct.enhance(scan.datasets[::-1] if reverse else scan.datasets)])
    in_order = evidence_samples.in_volume_order(scan.datasets, scan.truth.affine)
    for image, number in zip(in_order, ct.frame_numbers, strict=True):
        image.SOPInstanceUID, image.frame = ct.sop_uids[0], number
    assert_masks_come_back(read(ct), in_order)


def test_every_image_is_referred_to_also_without_a_contour(axial: CT, structures: Dataset) -> None:
    (frame,) = structures.ReferencedFrameOfReferenceSequence
    (study,) = frame.RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    assert frame.FrameOfReferenceUID == structures.FrameOfReferenceUID == axial.headers[0].FrameOfReferenceUID
    assert study.ReferencedSOPInstanceUID == axial.study_uid and series.SeriesInstanceUID == axial.series_uid
    assert [one.ReferencedSOPInstanceUID for one in series.ContourImageSequence] == list(axial.sop_uids)


def test_rois_are_the_segments_with_voxels(structures: Dataset) -> None:
    rois = structures.StructureSetROISequence
    told = [(one.ROINumber, one.ROIName, one.ROIDescription) for one in rois]
    assert told == [(1, "LEFT", "Left"), (2, "RING", "Ring"), (3, "ISLANDS", "Islands"), (4, "GTV-1", "Tumour")]
    assert {one.ROIGenerationAlgorithm for one in rois} == {"AUTOMATIC"}
    (algorithm,) = rois[0].ROIDerivationAlgorithmIdentificationSequence
    assert algorithm.AlgorithmName == rois[0].ROIGenerationDescription == "lung-opacity-2d + lobe-prior"
    assert [list(one.ROIDisplayColor) for one in structures.ROIContourSequence] == [
        list(one.rgb) for one in (*REGIONS[:3], TUMOUR)
    ]


def test_observations_tell_codes_and_type(structures: Dataset) -> None:
    observed = structures.RTROIObservationsSequence
    types = [(one.ReferencedROINumber, one.RTROIInterpretedType) for one in observed]
    assert types == [(1, "ORGAN"), (2, ""), (3, ""), (4, "GTV")]
    (kind,) = observed[0].RTROIIdentificationCodeSequence
    assert kind.CodeValue == codes.LUNG.value
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue == codes.LEFT.value
    assert observed[0].SegmentedPropertyCategoryCodeSequence[0].CodeValue == codes.ANATOMY.value
    assert observed[3].RTROIIdentificationCodeSequence[0].CodeValue == dicom.SCT.Neoplasm.value
    assert all(one.AnatomicRegionSequence[0].CodeValue == codes.LUNG.value for one in observed)


def test_it_says_what_it_is(structures: Dataset) -> None:
    assert (structures.SOPClassUID, structures.Modality) == (RTStructureSetStorage, "RTSTRUCT")
    assert structures.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (structures.ApprovalStatus, structures.StructureSetLabel) == ("UNAPPROVED", "AI v1 covid-seve")
    assert structures.StructureSetDescription.startswith("Research use only. Not for diagnostic use.")
    assert structures.SeriesDescription.endswith("research use only")
    assert (structures.StructureSetDate, structures.StructureSetTime) == ("20240501", "140530")
    assert structures.SeriesNumber == 9070 and "ContentDate" not in structures


def test_the_label_tells_the_number_of_the_result_whatever_it_is(axial: CT) -> None:
    found = read(axial, None, evidence_samples.context(axial, number=12345))
    assert found.StructureSetLabel == "AI v12345 covid-" and len(found.SeriesDescription) <= 64


def test_scattered_voxels_are_no_structure(axial: CT) -> None:
    regions_map, tumour_map = analysis_of(axial).label_maps
    scattered = dataclasses.replace(regions_map, kind=dataclasses.replace(regions_map.kind, outlined=False))
    found = read(axial, analysis_of(axial, label_maps=(scattered, tumour_map)))
    assert [one.ROIName for one in found.StructureSetROISequence] == ["GTV-1"]


def test_a_segment_with_too_many_outlines_is_left_out_and_named(axial: CT, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contours, "MOST_CONTOURS", 11)
    found, looked = read(axial), list[int]()
    assert [one.ROIName for one in found.StructureSetROISequence] == ["RING", "ISLANDS", "GTV-1"]
    assert found.StructureSetDescription.endswith("outlines would be needed: LEFT.")
    structure_set(Case.of(axial, analysis_of(axial), evidence_samples.context(axial)), lambda: looked.append(1))
    assert len(looked) > 30, "slice by slice somebody may say that it is no longer wanted"


def test_the_description_tells_what_is_replaced_and_warns(axial: CT) -> None:
    flags = tuple(Flag(f"F{n}", f"Warning {n}: {'x' * 50}.", f"F-{n}") for n in range(30))
    context = evidence_samples.context(axial, number=2, replaces=evidence_samples.replacing())
    text = read(axial, analysis_of(axial, flags=flags), context).StructureSetDescription
    assert "This structure set (v2) of covid-severity replaces result v1" in text
    assert "Warning 0" in text and "Warning 29" not in text
    shown = text.count("Warning ")
    assert text.endswith(f"{len(flags) - shown} more warnings are in the report.") and len(text) <= 1024


def test_coordinates_are_exact_to_a_micrometre_in_at_most_16_characters(structures: Dataset) -> None:
    for roi in structures.ROIContourSequence:
        for contour in roi.ContourSequence:
            written = [str(one) for one in contour.ContourData]
            assert all(len(one) <= 16 and len(one.partition(".")[2]) == 3 for one in written)
            assert "-0.000" not in written


def test_a_ragged_outline_is_cut_so_that_it_fits_an_element(axial: CT) -> None:
    """More than 65534 bytes would need VR UN (PS3.5 6.2.2), which readers take for no contour at all."""
    ragged = np.random.default_rng(5).random((SMALL["slices"], SMALL["rows"] * 5, SMALL["columns"] * 5)) < 0.6
    scan = make_ct.make(**SMALL | {"rows": SMALL["rows"] * 5, "columns": SMALL["columns"] * 5, "pixel_mm": (1.6, 1.5)})
    ct = evidence_samples.from_phantom(scan)[0]
    ragged[1:] = False
    label_map = LabelMap(LabelMapKind("ragged", "AI", codes.LUNG), ragged.astype(np.uint8), REGIONS[:1])
    found = read(ct, analysis_of(ct, label_maps=(label_map,)))
    assert max(len(one.ContourData) // 3 for one in found.ROIContourSequence[0].ContourSequence) <= MOST_CORNERS
    assert np.array_equal(masks(found, list(ct.headers), within_mm=0.002)["LEFT"], ragged)


def test_the_same_input_gives_the_same_bytes_and_another_mask_another_uid(axial: CT) -> None:
    assert content(axial) == content(axial)
    analysis = analysis_of(axial)
    analysis.label_maps[1].labels[20, 20, 20] = 1
    assert read(axial).SOPInstanceUID != read(axial, analysis).SOPInstanceUID


def test_the_type_of_a_segment_is_in_the_seed(axial: CT) -> None:
    regions_map, tumour_map = analysis_of(axial).label_maps
    plain = dataclasses.replace(tumour_map, segments=(dataclasses.replace(TUMOUR, roi_type=None),))
    other = analysis_of(axial, label_maps=(regions_map, plain))
    assert read(axial).SOPInstanceUID != read(axial, other).SOPInstanceUID


def test_there_is_none_where_nothing_was_found(axial: CT) -> None:
    empty = tuple(dataclasses.replace(one, labels=one.labels * 0) for one in analysis_of(axial).label_maps)
    case = Case.of(axial, analysis_of(axial, label_maps=empty), evidence_samples.context(axial))
    assert structure_set(case) is None


@pytest.mark.slow
def test_only_who_wants_it_gets_it_and_the_root_refers_to_it() -> None:
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS, slices=44, spacing_mm=5.0)
    wanted = [Selection(kinds=ALWAYS | {STRUCTURE_SET.kind}), Selection()]
    evidence = evidence_samples.encoded(ct, analysis, evidence_samples.context(ct), wanted)
    (found,) = [one for one in evidence if one.kind == STRUCTURE_SET.kind]
    assert found.file_name == "structure-set.rt.dcm" and found.style is None
    assert [one.kind for one in PRODUCTS if one.may_be(found.file_name)] == [STRUCTURE_SET.kind]
    roots = [one for one in evidence if one.kind == "study"]
    assert [found.sop_instance_uid in one.refers_to for one in roots] == [True, False]
    without = evidence_samples.encoded(ct, analysis, evidence_samples.context(ct))
    assert STRUCTURE_SET.kind not in {one.kind for one in without}
