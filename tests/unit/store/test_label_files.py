"""Label maps from files: where the voxels lie, which labels there are, and what is refused."""

from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from helpers import evidence_samples, make_ct
from helpers.label_files import volume, write_dcmqi_seg, write_nifti
from helpers.shared_data import shared_data
from pydicom import dcmread

from service.domain.anatomy import Lobe
from service.imaging.labels import align
from service.store.label_files import NotALabelMap, is_label_file, read_labels

RNG = np.random.default_rng(0)
LABELS = volume(RNG.integers(0, 3, (5, 7, 9)).astype(np.uint8))


def nifti(path: Path, array: np.ndarray, sform: np.ndarray | None, qform: np.ndarray | None = None) -> Path:
    """By nibabel; a form that is None gets code 0."""
    picture = nibabel.Nifti1Image(array, None)
    picture.set_qform(qform if qform is not None else sform, int(qform is not None))
    picture.set_sform(sform, int(sform is not None))
    nibabel.save(picture, path)
    return path


@pytest.mark.parametrize("order", ["LPS", "RAS", "SAL", "IRP"])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".NII.GZ"])
def test_nifti_in_any_axis_order_is_the_same_labels(order: str, ending: str, tmp_path: Path) -> None:
    written = write_nifti(LABELS, tmp_path / f"a{ending.lower()}", order)
    found = read_labels(written.rename(tmp_path / f"a{ending}"))
    original = read_labels(write_nifti(LABELS, tmp_path / "original.nii"))
    assert found.whole and found.oriented and found.names == {1: (), 2: ()}
    aligned = align(found, original, resample=False)
    for wanted in ([1], [2], [1, 2], []):
        assert np.array_equal(aligned.pred(wanted), aligned.truth(wanted))
    assert aligned.truth([1]).sum() == np.count_nonzero(LABELS.array == 1)


@pytest.mark.parametrize("sform", [True, False])
def test_the_affine_is_nibabel_s(sform: bool, tmp_path: Path) -> None:
    angle = np.radians(20)
    ras = np.eye(4)
    ras[:3, :3] = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, -1]])
    ras[:3, :3] *= (0.7, 0.8, 2.5)
    ras[:3, 3] = (12.5, -33.25, 400)
    array = RNG.integers(0, 3, (4, 5, 6)).astype(np.int16)
    path = nifti(tmp_path / "a.nii.gz", array, *((ras, None) if sform else (None, ras)))
    found = read_labels(path)
    lps = np.diag([-1, -1, 1, 1]) @ nibabel.load(path).affine
    assert np.allclose(found.grid.affine, lps, atol=1e-4)
    assert np.array_equal(found.mask([2]), array == 2)


def test_two_different_grids_in_one_header_are_refused(tmp_path: Path) -> None:
    scanner, other = np.diag([1.0, 1.0, 2.0, 1.0]), np.diag([1.0, 1.0, 2.0, 1.0])
    other[0, 3] = 30
    array = np.ones((4, 4, 4), np.uint8)
    path = tmp_path / "both.nii"
    picture = nibabel.Nifti1Image(array, None)
    picture.set_qform(scanner, 1)
    picture.set_sform(other, 2)  # aligned to something else
    nibabel.save(picture, path)
    read_as = np.array(sitk.ReadImage(str(path)).GetOrigin())
    if np.allclose(read_as, (-30, 0, 0)):
        pytest.fail("this ITK reads the sform: make the case in which it does not")
    with pytest.raises(NotALabelMap, match="two grids: its sform does not agree with its pixdim and qform"):
        read_labels(path)


def test_a_nifti_without_orientation_says_so(tmp_path: Path) -> None:
    assert not read_labels(nifti(tmp_path / "a.nii", np.ones((3, 4, 5), np.uint8), None)).oriented


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.full((3, 3, 3), 0.5, np.float32), "not all its values are whole numbers (probabilities?)"),
        (np.full((3, 3, 3), -1000, np.int16), "its values go from -1000 to -1000"),
        (np.full((3, 3, 3), 70000, np.int32), "to 70000"),
        (np.ones((3, 3, 3, 2), np.uint8), "not one 3D volume: its size is (3, 3, 3, 2)"),
        (np.ones((3, 3), np.uint8), "not one 3D volume"),
    ],
)
def test_what_is_no_label_map_is_refused_in_words(array: np.ndarray, says: str, tmp_path: Path) -> None:
    with pytest.raises(NotALabelMap) as refused:
        read_labels(nifti(tmp_path / "a.nii", array, np.eye(4)))
    assert says in str(refused.value)


def test_labels_may_be_floats_and_large_and_in_a_fourth_dimension_of_one(tmp_path: Path) -> None:
    array = np.zeros((3, 4, 5, 1), np.float64)
    array[0], array[1] = 7, 300
    found = read_labels(nifti(tmp_path / "a.nii.gz", array, np.eye(4)))
    assert found.names == {7: (), 300: ()}
    assert found.mask([300]).sum() == 20 and found.mask([7, 300]).sum() == 40


def test_other_files_are_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no label map")
    (tmp_path / "a.nii.gz").write_bytes(b"no NIfTI")
    ct = make_ct.write(make_ct.make(slices=10).datasets[:1], tmp_path / "ct")[0]
    for path, says in (("a.txt", "neither NIfTI"), ("a.nii.gz", "cannot be read as NIfTI"), (ct, "not a Segmentation")):
        with pytest.raises(NotALabelMap, match=says):
            read_labels(tmp_path / path)
    assert is_label_file(tmp_path / "a.nii.gz") and not is_label_file(tmp_path / "a.txt") and not is_label_file(ct)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> tuple[hd.Volume, Path, Path]:
    """Lobe labels on the CT's grid, our Segmentations, and the CT."""
    folder = tmp_path_factory.mktemp("evidence")
    scan = make_ct.make(orientation="HFP", findings=make_ct.FINDINGS, pixel_mm=(3.0, 2.5))
    ct, analysis = evidence_samples.from_phantom(scan)
    make_ct.write(scan.datasets, folder / "ct")
    for item in evidence_samples.encoded(ct, analysis, evidence_samples.context(ct)):
        (folder / item.file_name).write_bytes(item.content)
    return ct.volume.with_array(analysis.label_map("lobes").labels), folder, folder / "ct"


@pytest.mark.slow
def test_our_segmentation_is_the_nifti_of_the_same_masks(
    evidence: tuple[hd.Volume, Path, Path], tmp_path: Path
) -> None:
    lobes, folder, _ = evidence
    seg = read_labels(folder / "lobes.seg.dcm")
    assert not seg.whole and is_label_file(folder / "lobes.seg.dcm")
    assert {n: called[1] for n, called in seg.names.items()} == {int(lobe): lobe.name for lobe in Lobe}
    aligned = align(seg, read_labels(write_nifti(lobes, tmp_path / "a.nii.gz", "RAS")), resample=False)
    for lobe in Lobe:
        assert aligned.pred([lobe]).sum() == np.count_nonzero(lobes.array == lobe) > 0
        assert np.array_equal(aligned.pred([lobe]), aligned.truth([lobe]))


@pytest.mark.slow
def test_another_maker_s_segmentation(evidence: tuple[hd.Volume, Path, Path], tmp_path: Path) -> None:
    lobes, _, ct = evidence
    few = np.where(lobes.array == Lobe.RML, 1, np.where(lobes.array == Lobe.LLL, 2, 0)).astype(np.uint8)
    path = write_dcmqi_seg(lobes.with_array(few), ["Middle", "Lower"], ct, tmp_path / "other.dcm", tmp_path)
    seg = read_labels(path)
    assert seg.names == {1: ("Middle",), 2: ("Lower",)}
    aligned = align(seg, read_labels(write_nifti(lobes, tmp_path / "a.nii.gz")), resample=False)
    assert np.array_equal(aligned.pred([1]), aligned.truth([Lobe.RML])) and aligned.pred([1]).any()
    assert np.array_equal(aligned.pred([2]), aligned.truth([Lobe.LLL])) and aligned.pred([2]).any()


def test_overlapping_segments_stay_whole(tmp_path: Path) -> None:
    scan = make_ct.make(slices=12)
    ct, _ = evidence_samples.from_phantom(scan)
    both = np.zeros((*ct.volume.spatial_shape, 2), np.uint8)
    both[3:7, 20:40, 20:40, 0] = 1
    both[5:9, 30:50, 30:50, 1] = 1
    described = [_segment(n) for n in (1, 2)]
    path = tmp_path / "overlap.dcm"
    _seg(evidence_samples.in_volume_order(scan.datasets, ct.volume.affine), both, described).save_as(path)
    seg = read_labels(path)
    truth = read_labels(write_nifti(ct.volume.with_array(both[..., 1]), tmp_path / "a.nii"))
    aligned = align(seg, truth, resample=False)
    assert aligned.pred([1]).sum() == aligned.pred([2]).sum() == 1600
    assert aligned.pred([1, 2]).sum() == 2 * 1600 - 2 * 100
    assert np.array_equal(aligned.pred([2]), aligned.truth([1]))


def test_a_labelmap_segmentation_and_a_fractional_one(tmp_path: Path) -> None:
    scan = make_ct.make(slices=12)
    ct, _ = evidence_samples.from_phantom(scan)
    sources = evidence_samples.in_volume_order(scan.datasets, ct.volume.affine)
    array = np.zeros(ct.volume.spatial_shape, np.uint8)
    array[3:7, 20:40, 20:40], array[7:9, 20:40, 20:40] = 1, 2
    path = tmp_path / "labelmap.dcm"
    _seg(sources, array, [_segment(n) for n in (1, 2)], "LABELMAP").save_as(path)
    seg = read_labels(path)
    assert is_label_file(path) and set(seg.names) == {1, 2}
    assert (seg.mask([1]).sum(), seg.mask([2]).sum(), seg.mask([1, 2]).sum()) == (1600, 800, 2400)
    _seg(sources, (array == 1).astype(np.float32), [_segment(1)], "FRACTIONAL").save_as(path)
    with pytest.raises(NotALabelMap, match="is a FRACTIONAL Segmentation"):
        read_labels(path)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d: d.SegmentSequence.clear(), "has no segments"),
        (lambda d: delattr(d, "SharedFunctionalGroupsSequence"), "not a valid Segmentation"),
        (lambda d: setattr(d, "PixelData", d.PixelData[:100]), "pixels of .* cannot be read"),
    ],
)
def test_a_broken_segmentation_is_an_error_in_words(
    spoil: object, says: str, evidence: tuple[hd.Volume, Path, Path], tmp_path: Path
) -> None:
    dataset = dcmread(evidence[1] / "lobes.seg.dcm")
    spoil(dataset)  # type: ignore[operator]
    dataset.save_as(tmp_path / "a.dcm")
    with pytest.raises(NotALabelMap, match=says):
        read_labels(tmp_path / "a.dcm").mask([1])


def test_one_slice_of_unknown_thickness_is_refused(tmp_path: Path) -> None:
    scan = make_ct.make(slices=12)
    ct, _ = evidence_samples.from_phantom(scan)
    array = np.zeros(ct.volume.spatial_shape, np.uint8)
    array[4, 20:40, 20:40] = 1
    dataset = _seg(evidence_samples.in_volume_order(scan.datasets, ct.volume.affine), array, [_segment(1)])
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SpacingBetweenSlices = 2.5
    dataset.save_as(tmp_path / "known.dcm")
    assert read_labels(tmp_path / "known.dcm").grid.voxel_volume == pytest.approx(2.5 * 9)
    del measures.SpacingBetweenSlices
    dataset.save_as(tmp_path / "unknown.dcm")
    with pytest.raises(NotALabelMap, match="no Spacing Between Slices"):
        read_labels(tmp_path / "unknown.dcm")


@pytest.mark.parametrize("name", ["medseg9/vol1", "lung1/LUNG1-002"])
def test_real_label_files(name: str) -> None:
    path = shared_data("train") / f"{name}_label.nii.gz"
    reference = nibabel.load(path)
    array = np.asarray(reference.dataobj)
    found = read_labels(path)
    assert np.allclose(found.grid.affine, np.diag([-1, -1, 1, 1]) @ reference.affine, atol=1e-4)
    assert set(found.names) == set(np.unique(array)) - {0}
    for number in found.names:
        assert np.array_equal(found.mask([number]), array == number)


def _segment(number: int) -> hd.seg.SegmentDescription:
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=f"Region {number}",
        segmented_property_category=hd.sr.CodedConcept("123037004", "SCT", "Anatomical structure"),
        segmented_property_type=hd.sr.CodedConcept("39607008", "SCT", "Lung"),
        algorithm_type="MANUAL",
    )


def _seg(
    sources: list, array: np.ndarray, described: list[hd.seg.SegmentDescription], kind: str = "BINARY"
) -> hd.seg.Segmentation:
    return hd.seg.Segmentation(
        source_images=sources,
        pixel_array=array,
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid=hd.UID(),
        series_number=1,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="Other",
        manufacturer_model_name="Other",
        software_versions="1",
        device_serial_number="1",
    )
