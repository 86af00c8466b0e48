"""Segmentations: the masks come back on the source frames, with codes, tracking and algorithms as they must be."""

from io import BytesIO

import highdicom as hd
import numpy as np
import pytest
from helpers import enhanced_ct, evidence_samples, make_ct
from helpers.evidence_samples import masks
from helpers.shared_data import shared_data
from pydicom import Dataset, dcmread
from pydicom.uid import RLELossless

from service.domain.analysis import Analysis
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.evidence.case import Case
from service.evidence.context import SegKind, Style, segmentation_products
from service.evidence.seal import seal
from service.evidence.seg import segment_numbers, segmentation
from service.imaging.read import read_ct
from service.pipelines.shared.opacities import Opacity

STYLES = [Style(), Style(all_frames=True), Style(SegKind.LABELMAP), Style(SegKind.LABELMAP, all_frames=True)]


def segs(ct: CT, analysis: Analysis, style: Style = STYLES[0]) -> dict[str, hd.seg.Segmentation]:
    """The files, read again."""
    case = Case.of(ct, analysis, evidence_samples.context(ct)).styled(style)
    products = segmentation_products(label_map.kind for label_map in analysis.label_maps)
    pairs = zip(products, analysis.label_maps, strict=True)
    made = {product.kind: segmentation(product, case, label_map) for product, label_map in pairs}
    files = {
        kind: seal(s, case.context.analysed_at, case.header, case.uids) for kind, s in made.items() if s is not None
    }
    return {kind: hd.seg.Segmentation.from_dataset(dcmread(BytesIO(content))) for kind, content in files.items()}


def mask_from(seg: hd.seg.Segmentation, ct: CT, names: type) -> np.ndarray:
    """The label mask again, read back by source frame or instance."""
    if ct.frame_numbers:
        stack = seg.get_pixels_by_source_frame(
            ct.sop_uids[0], ct.frame_numbers, ignore_spatial_locations=True, assert_missing_frames_are_empty=True
        )
    else:
        stack = seg.get_pixels_by_source_instance(ct.sop_uids, ignore_spatial_locations=True)
    mask = np.zeros(stack.shape[:3], np.uint8)
    for channel, name in enumerate(segment_numbers(seg)):
        mask[stack[..., channel] > 0] = names[name]
    return mask


def assert_masks_come_back(result: dict[str, hd.seg.Segmentation], ct: CT, analysis: Analysis) -> None:
    lobes, findings = masks(analysis)
    assert np.array_equal(mask_from(result["lobes"], ct, Lobe), lobes)
    assert np.array_equal(mask_from(result["findings"], ct, Opacity), findings)


@pytest.mark.conformance("air/regions")
@pytest.mark.slow
@pytest.mark.parametrize("orientation", ["HFS", "HFP", "FFS", "FFDR"])
def test_masks_come_back_on_the_source(orientation: str) -> None:
    ct, analysis = evidence_samples.phantom(orientation=orientation, findings=make_ct.FINDINGS)
    result = segs(ct, analysis)
    assert_masks_come_back(result, ct, analysis)


@pytest.mark.slow
@pytest.mark.parametrize("reverse", [False, True])
def test_enhanced_ct(reverse: bool) -> None:
    scan = make_ct.make(findings=make_ct.FINDINGS)
    ct = read_ct([enhanced_ct.enhance(scan.datasets[::-1] if reverse else scan.datasets)])
    analysis = evidence_samples.analysis_of(ct, scan.truth.lobe_mask, scan.truth.finding_mask)
    result = segs(ct, analysis)
    assert_masks_come_back(result, ct, analysis)
    back = result["lobes"].get_volume(combine_segments=True).match_geometry(ct.volume)
    assert np.array_equal(back.array, masks(analysis)[0])


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
@pytest.mark.parametrize("enhanced", [False, True])
def test_masks_come_back_in_every_style(style: Style, enhanced: bool) -> None:
    scan = make_ct.make(findings=make_ct.FINDINGS[2:])
    ct = read_ct([enhanced_ct.enhance(scan.datasets)] if enhanced else scan.datasets)
    analysis = evidence_samples.analysis_of(ct, scan.truth.lobe_mask, scan.truth.finding_mask)
    result = segs(ct, analysis, style)
    assert_masks_come_back(result, ct, analysis)
    assert segment_numbers(result["lobes"]) == {lobe.name: int(lobe) for lobe in Lobe}
    assert segment_numbers(result["findings"]) == {"HIGH_OPACITY": 1}
    segments = {SegKind.BINARY: 5, SegKind.LABELMAP: 1}[style.seg]
    frames = (result["lobes"].NumberOfFrames, result["findings"].NumberOfFrames)
    if style.all_frames:
        assert frames == (segments * ct.volume.shape[0], ct.volume.shape[0])
    else:
        assert frames[1] == np.count_nonzero(masks(analysis)[1].any(axis=(1, 2))) < ct.volume.shape[0]


def test_a_labelmap_is_another_class_and_compressed() -> None:
    lobes = segs(*evidence_samples.phantom(), Style(SegKind.LABELMAP))["lobes"]
    assert (lobes.SegmentationType, lobes.SOPClassUID) == ("LABELMAP", "1.2.840.10008.5.1.4.1.1.66.7")
    assert lobes.file_meta.TransferSyntaxUID == RLELossless


@pytest.mark.slow
def test_real_headers() -> None:
    datasets = [dcmread(p) for p in sorted(shared_data("dicom/rider-lung").glob("*.dcm"))]
    ct = read_ct(datasets)
    lobe_mask, finding_mask = np.zeros(ct.volume.shape, np.uint8), np.zeros(ct.volume.shape, np.uint8)
    for lobe in Lobe:
        lobe_mask[20:90, 100:400, 60 * lobe : 60 * lobe + 50] = lobe
    finding_mask[40:50, 200:250, 70:100] = Opacity.GROUND_GLASS
    result = segs(ct, evidence_samples.analysis_of(ct, lobe_mask, finding_mask))
    assert np.array_equal(mask_from(result["lobes"], ct, Lobe), lobe_mask)
    assert np.array_equal(mask_from(result["findings"], ct, Opacity), finding_mask)


def test_an_empty_segment_is_dropped_and_the_others_renumbered() -> None:
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS[2:])
    lobes, _ = masks(analysis)
    lobes[lobes == Lobe.RML] = 0
    result = segs(ct, analysis)
    described = [(s.SegmentNumber, s.TrackingID) for s in result["lobes"].SegmentSequence]
    assert described == [(1, "RUL"), (2, "RLL"), (3, "LUL"), (4, "LLL")]
    assert [s.TrackingID for s in result["findings"].SegmentSequence] == ["HIGH_OPACITY"]
    assert_masks_come_back(result, ct, analysis)
    frames = np.count_nonzero(masks(analysis)[1].any(axis=(1, 2)))
    assert frames == result["findings"].NumberOfFrames < ct.volume.shape[0]


def test_description_of_segments() -> None:
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS)
    lobes = segs(ct, analysis)["lobes"]
    assert (lobes.SegmentationType, lobes.ContentCreatorName, lobes.BodyPartExamined) == (
        "BINARY",
        "Thoracle^",
        "CHEST",
    )
    assert lobes.SoftwareVersions == "0.1.0"
    assert "ReferencedSeriesSequence" in lobes
    by_name: dict[str, Dataset] = {s.TrackingID: s for s in lobes.SegmentSequence}
    kind = by_name["LUL"].SegmentedPropertyTypeCodeSequence[0]
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue == "7771000"
    kind = by_name["RML"].SegmentedPropertyTypeCodeSequence[0]
    assert kind.CodeValue == "72481006" and "SegmentedPropertyTypeModifierCodeSequence" not in kind
    assert len({s.TrackingUID for s in lobes.SegmentSequence}) == 5
    assert all("RecommendedDisplayCIELabValue" in s for s in lobes.SegmentSequence)
    (algorithm,) = by_name["RUL"].SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("lung-opacity-2d + lobe-prior", "1 + 2")
    assert all(m.sha256 in algorithm.AlgorithmParameters for m in analysis.models)
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"


def test_laterality_agrees_with_the_patient_frame() -> None:
    ct, analysis = evidence_samples.phantom(orientation="HFP")
    lobes = segs(ct, analysis)["lobes"]
    volume = lobes.get_volume(combine_segments=False)
    for number, item in enumerate(lobes.SegmentSequence):
        index = np.argwhere(volume.array[..., number] > 0).mean(axis=0)
        x_mm = (volume.affine @ [*index, 1.0])[0] - 4.5  # the phantom's centre
        assert (x_mm > 0) == item.TrackingID.startswith("L")
