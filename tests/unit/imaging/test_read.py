"""Reading: exact Hounsfield units and geometry, from every encoding."""

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from helpers import enhanced_ct, make_ct
from helpers.damage_ct import LUNG_CASES, PIXEL_CASES, Case, scanned, tagged, without
from helpers.shared_data import shared_data
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.encaps import encapsulate, generate_frames
from pydicom.tag import Tag
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, JPEGLSNearLossless, RLELossless

from service.domain.eligibility import Limits
from service.domain.flags import AGE_UNKNOWN, LOSSY, PADDING_MASKED, THICK_SLICES
from service.errors import Reason, Rejected
from service.imaging import read
from service.imaging.attributes import text
from service.imaging.gate import check_headers
from service.imaging.read import read_ct
from service.pipelines.shared.opacities import Opacity
from service.store.dicom_folder import headers, scan, whole

UUID_STYLE = "98C14734-2B1E-4C1D-9A57-0E6C3B7FA611"
REAL = ("dicom/covid-ct-md/P001", "dicom/covid-ct-md/cap001", "dicom/covid-ct-md/normal001", "dicom/rider-lung")


def load(name: str) -> list[Dataset]:
    return [pydicom.dcmread(path) for path in sorted(shared_data(name).glob("*.dcm"))]


def written(datasets: Sequence[Dataset], folder: Path) -> list[Dataset]:
    """The datasets as they come back from disk."""
    return [pydicom.dcmread(path) for path in make_ct.write(datasets, folder)]


@pytest.fixture(scope="module")
def phantom() -> make_ct.PhantomCT:
    return make_ct.make(findings=make_ct.FINDINGS, slices=84)


def test_hounsfield_units_and_order(phantom: make_ct.PhantomCT) -> None:
    ct = read_ct(phantom.datasets)
    hu, truth = ct.volume.array, phantom.truth
    assert hu.dtype == np.int16 and hu.shape == truth.lobe_mask.shape
    assert np.allclose(ct.volume.affine, truth.affine, atol=1e-9)
    healthy = (truth.lobe_mask > 0) & (truth.finding_mask == 0)
    assert hu[healthy].mean() == pytest.approx(-850, abs=0.5)
    assert hu[truth.finding_mask == Opacity.GROUND_GLASS].mean() == pytest.approx(-600, abs=0.5)
    assert hu[truth.finding_mask == Opacity.HIGH_OPACITY].mean() == pytest.approx(20, abs=0.5)
    assert ct.flags == () and ct.frame_numbers == ()
    assert ct.voxel_ml == pytest.approx(truth.voxel_ml)


@pytest.mark.parametrize(("tag", "value"), [("RescaleSlope", 0.5), ("RescaleIntercept", 32700)])
def test_what_int16_does_not_hold_is_read_as_float32(tag: str, value: float) -> None:
    slices = scanned()
    setattr(slices[-1], tag, value)
    expected = slices[-1].pixel_array * np.float32(slices[-1].RescaleSlope) + np.float32(slices[-1].RescaleIntercept)
    frames = read._frames(slices)
    order = list(range(len(frames)))
    hu, _ = read._hounsfield(slices, frames, order, lambda: None, lambda header: header)
    assert hu.dtype == np.float32 and np.array_equal(hu[-1], np.maximum(expected, read.AIR_HU))
    before, _ = read._hounsfield(slices[:-1], frames[:-1], order[:-1], lambda: None, lambda header: header)
    assert before.dtype == np.int16 and np.array_equal(hu[:-1], before)


def test_of_headers_each_file_is_read_when_it_is_decoded(phantom: make_ct.PhantomCT, tmp_path: Path) -> None:
    make_ct.write(phantom.datasets, tmp_path)
    (series,) = scan([tmp_path])
    whole_at_once = read_ct(phantom.datasets)
    opened: list[str] = []

    def counted(header: Dataset) -> Dataset:
        opened.append(str(header.SOPInstanceUID))
        return whole(header)

    found = read_ct(headers(series), whole=counted)
    assert np.array_equal(found.volume.array, whole_at_once.volume.array)
    assert found.headers == whole_at_once.headers and sorted(opened) == sorted(found.sop_uids)


def test_headers_are_in_volume_order_without_pixels(phantom: make_ct.PhantomCT) -> None:
    ct = read_ct(phantom.datasets[::-1])
    for k, header in enumerate(ct.headers):
        assert np.allclose(header.ImagePositionPatient, (ct.volume.affine @ [k, 0, 0, 1])[:3], atol=1e-9)
        assert "PixelData" not in header
    assert ct.sop_uids == tuple(str(d.SOPInstanceUID) for d in phantom.datasets)
    assert all("PixelData" in dataset for dataset in phantom.datasets), "the caller's datasets were changed"


def test_slope_and_intercept_are_those_of_each_slice(phantom: make_ct.PhantomCT) -> None:
    ct = read_ct(make_ct.make(findings=make_ct.FINDINGS, slices=84, slopes=(1.0, 0.5, 2.0)).datasets)
    assert np.abs(ct.volume.array - read_ct(phantom.datasets).volume.array).max() <= 2.0


@pytest.mark.slow
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_compressed_equals_uncompressed(syntax: str, phantom: make_ct.PhantomCT, tmp_path: Path) -> None:
    plain = make_ct.make(findings=make_ct.FINDINGS, slices=84).datasets
    compressed = written(make_ct.compress(plain, syntax), tmp_path)
    assert compressed[0].file_meta.TransferSyntaxUID == syntax
    ct = read_ct(compressed)
    assert np.array_equal(ct.volume.array, read_ct(phantom.datasets).volume.array)
    assert ct.flags == ()


def test_lossy_is_flagged(phantom: make_ct.PhantomCT) -> None:
    lossy = make_ct.make(findings=make_ct.FINDINGS, slices=84).datasets
    for dataset in lossy:
        dataset.compress(JPEGLSNearLossless, jls_error=2, generate_instance_uid=False)
    ct = read_ct(lossy)
    assert ct.flags == (LOSSY,)
    assert 0 < np.abs(ct.volume.array - read_ct(phantom.datasets).volume.array).max() <= 2


def test_flags_of_the_gate_are_kept() -> None:
    ct = read_ct(scanned(padding=True), flags=[THICK_SLICES, AGE_UNKNOWN])
    assert ct.flags == (THICK_SLICES, AGE_UNKNOWN, PADDING_MASKED)


@pytest.mark.parametrize("shuffled", [False, True])
def test_enhanced_equals_classic(shuffled: bool, tmp_path: Path) -> None:
    slices = scanned(slopes=(1.0, 0.5), orientation="HFP")
    frames = [slices[k] for k in np.random.default_rng(3).permutation(len(slices))] if shuffled else slices
    (enhanced,) = written([enhanced_ct.enhance(frames)], tmp_path)
    ct, classic = read_ct([enhanced]), read_ct(slices)
    assert np.array_equal(ct.volume.array, classic.volume.array)
    assert np.array_equal(ct.volume.affine, classic.volume.affine)
    assert len(ct.headers) == 1 and "PixelData" not in ct.headers[0]
    positions = [
        enhanced.PerFrameFunctionalGroupsSequence[n - 1].PlanePositionSequence[0].ImagePositionPatient
        for n in ct.frame_numbers
    ]
    assert np.allclose(positions, [(ct.volume.affine @ [k, 0, 0, 1])[:3] for k in range(len(slices))])


def test_legacy_converted_enhanced_equals_classic() -> None:
    slices = scanned()
    legacy = hd.legacy.LegacyConvertedEnhancedCTImage(slices, hd.UID(), 9, hd.UID(), 1)
    ct, classic = read_ct([legacy]), read_ct(slices)
    assert np.array_equal(ct.volume.array, classic.volume.array)
    assert np.allclose(ct.volume.affine, classic.volume.affine)


class TestPadding:
    def test_value_becomes_air(self) -> None:
        ct = read_ct(scanned(slices=8, padding=True))
        assert ct.flags == (PADDING_MASKED,)
        assert np.all(ct.volume.array[:, 0, 0] == -1024) and ct.volume.array.min() == -1024

    def test_found_without_the_attribute(self) -> None:
        ct = read_ct(scanned(slices=8, padding=True, attributes={"PixelPaddingValue": None}))
        assert ct.flags == (PADDING_MASKED,) and ct.volume.array.min() == -1024

    def test_unsigned_spelling_of_a_signed_value(self) -> None:
        slices = scanned(slices=8, padding=True)
        expected = read_ct(slices).volume.array
        for dataset in slices:
            dataset["PixelPaddingValue"] = pydicom.DataElement("PixelPaddingValue", "US", 63536)
        assert np.array_equal(read_ct(slices).volume.array, expected)

    def test_range(self) -> None:
        slices = scanned(slices=8, attributes={"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 30})
        stored = np.stack([d.pixel_array for d in slices])
        hu = read_ct(slices).volume.array
        assert np.all(hu[stored <= 30] == -1024) and np.array_equal(hu[stored > 30], stored[stored > 30] - 1024.0)

    @pytest.mark.parametrize(
        "vr, value",
        [
            ("OW", b"\x30\xf8"),
            ("IS", "-2000"),
        ],
    )
    def test_another_value_representation(self, vr: str, value: object) -> None:
        slices = scanned(slices=8, padding=True)
        expected = read_ct(slices).volume.array
        for dataset in slices:
            dataset["PixelPaddingValue"] = pydicom.DataElement("PixelPaddingValue", vr, value)
            dataset["PixelPaddingRangeLimit"] = pydicom.DataElement("PixelPaddingRangeLimit", "SS", None)
        assert np.array_equal(read_ct(slices).volume.array, expected)

    @pytest.mark.parametrize(
        "vr, value",
        [("SS", [-2000, -2000]), ("SS", [-2000, 0]), ("US", [63536, 65535]), ("OW", b"\x30\xf8\xff\xff")],
    )
    def test_several_values_are_refused_by_name(self, vr: str, value: object) -> None:
        """Nothing tells which one counts; another series of the study may be analysed instead."""
        slices = scanned(slices=8, padding=True)
        for dataset in slices:
            dataset["PixelPaddingValue"] = pydicom.DataElement("PixelPaddingValue", vr, value)
        refusals = check_headers(slices, Limits()).refusals
        assert [str(refusal) for refusal in refusals] == [
            "UNREADABLE: A required attribute is missing or cannot be read. PixelPaddingValue has 2 values in 8 of 8 "
            "images."
        ]

    @pytest.mark.parametrize(
        "vr, value, written, representation",
        [("US", 63536, 63536, 0), ("SS", -2000, 63536, 0), ("SS", -32768, 32768, 1)],
    )
    def test_in_bits_that_are_not_stored(self, vr: str, value: int, written: int, representation: int) -> None:
        """What those bits leave, 2096 and so 1072 HU, is bone elsewhere."""
        slices = scanned()
        for dataset in slices:
            pixels = np.frombuffer(dataset.PixelData, np.uint16).reshape(dataset.Rows, dataset.Columns).copy()
            pixels.clip(max=2047, out=pixels)
            pixels[:5], pixels[50, 60] = written, 2096 if representation == 0 else 2000
            dataset.PixelData, dataset.PixelRepresentation = pixels.tobytes(), representation
            dataset["PixelPaddingValue"] = pydicom.DataElement("PixelPaddingValue", vr, value)
        ct = read_ct(slices)
        assert np.all(ct.volume.array[:, :5] == -1024) and ct.flags == (PADDING_MASKED,)
        assert np.all(ct.volume.array[:, 50, 60] == (1072 if representation == 0 else 976))

    def test_noise_below_air_is_not_padding(self) -> None:
        assert read_ct(scanned(noise_hu=25.0)).flags == ()


@pytest.mark.parametrize("case", PIXEL_CASES, ids=str)
def test_refuses(case: Case) -> None:
    with pytest.raises(Rejected) as rejected:
        read_ct(case.make())
    assert {refusal.reason for refusal in rejected.value.refusals} == {case.reason}


@pytest.mark.parametrize("case", LUNG_CASES, ids=str)
def test_leaves_lungs_to_others(case: Case) -> None:
    if case.reason is Reason.NO_LUNG:
        # Only air outside the body is left; that is enough for calibration.
        assert read_ct(case.make()).volume.array.min() < -900
    else:
        assert read_ct(case.make()).volume.array.shape[0] == 88


def test_codec_refusal_names_the_cause() -> None:
    broken = next(case for case in PIXEL_CASES if case.name == "broken code stream")
    with pytest.raises(Rejected, match=r"CODEC: .* JPEG-LS Lossless Image Compression: .*pyjpegls"):
        read_ct(broken.make())


@pytest.mark.parametrize(
    "datasets, reason",
    [
        (list, Reason.TOO_FEW),
        (lambda: without("ImagePositionPatient"), Reason.UNREADABLE),
        (lambda: without("RescaleSlope"), Reason.NOT_HU),
        (lambda: scanned()[:40] + scanned(columns=112)[40:], Reason.MIXED_GEOMETRY),
    ],
)
def test_refuses_what_the_gate_would_have(datasets: object, reason: Reason) -> None:
    with pytest.raises(Rejected) as rejected:
        read_ct(datasets())  # type: ignore[operator]
    assert [refusal.reason for refusal in rejected.value.refusals] == [reason]


def test_small_field_of_view_inside_the_body_is_hu() -> None:
    assert read_ct(scanned(rows=70, columns=90, pixel_mm=(2.5, 2.5))).flags == ()


@pytest.mark.slow
def test_names_of_all_scripts_and_private_tags_survive(tmp_path: Path) -> None:
    for character_set, name in (
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 192", "Łukasz^Ёлка=محمد"),
    ):
        slices = tagged(SpecificCharacterSet=character_set, PatientName=name, StudyInstanceUID=UUID_STYLE)
        for dataset in slices:
            dataset.private_block(0x0099, "THORACLE TEST", create=True).add_new(1, "OB", b"\x00\x01")
        header = read_ct(written(slices, tmp_path)).headers[5]
        assert header.PatientName == name
        assert header.private_block(0x0099, "THORACLE TEST")[1].value == b"\x00\x01"


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_ct_equals_highdicom(name: str) -> None:
    datasets = sorted(load(name), key=lambda d: float(d.ImagePositionPatient[2]))[::4]
    ct = read_ct(datasets)
    theirs = hd.get_volume_from_series(datasets)
    assert np.allclose(ct.volume.affine, theirs.affine, atol=1e-6)
    assert np.array_equal(ct.volume.array, np.maximum(theirs.array, -1024))
    assert ct.flags == ((PADDING_MASKED,) if name.endswith("rider-lung") else ())


@pytest.mark.slow
def test_p001_is_read_in_little_memory() -> None:
    datasets = load("dicom/covid-ct-md/P001")
    tracemalloc.start()
    nbytes = read_ct(datasets).volume.array.nbytes
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * nbytes


@pytest.mark.parametrize("frames", [87, 89])
@pytest.mark.parametrize("syntax", [None, JPEGLSLossless])
def test_more_or_fewer_frames_than_the_headers_tell_of(frames: int, syntax: str | None) -> None:
    slices = scanned()
    enhanced = enhanced_ct.enhance(slices)
    if syntax is None:
        enhanced.PixelData = b"".join(d.PixelData for d in [*slices, slices[0]][:frames])
    else:
        (code,) = generate_frames(make_ct.compress(scanned(slices=1), syntax)[0].PixelData, number_of_frames=1)
        enhanced.file_meta.TransferSyntaxUID, enhanced.PixelData = syntax, encapsulate([code] * frames)
    with pytest.raises(Rejected, match="CODEC"):
        read_ct([enhanced])


def test_rle_fragments_without_an_offset_table() -> None:
    slices = scanned()
    expected = read_ct(slices).volume.array
    for dataset in make_ct.compress(slices, RLELossless):
        (code,) = generate_frames(dataset.PixelData, number_of_frames=1)
        dataset.PixelData = encapsulate([code], fragments_per_frame=3, has_bot=False)
    assert np.array_equal(read_ct(slices).volume.array, expected)


def test_a_private_element_of_wrong_length_is_not_looked_at(tmp_path: Path) -> None:
    slices = written(scanned(), tmp_path)
    for dataset in slices:
        dataset.add_new(0x01F10010, "LO", "ELSCINT1")
        dataset._dict[Tag(0x01F11026)] = RawDataElement(Tag(0x01F11026), "FD", 4, b"0.15", 0, False, True)
    assert read_ct(slices).volume.shape == (88, 96, 128)


def test_a_name_in_utf8_that_nothing_declares() -> None:
    dataset = scanned(slices=1)[0]
    del dataset.SpecificCharacterSet
    dataset["PatientName"] = RawDataElement(Tag("PatientName"), "PN", 12, "Müller^Zoë".encode(), 0, False, True)
    assert text(dataset, "PatientName") == "Müller^Zoë"


@pytest.mark.parametrize("syntax", [None, JPEG2000Lossless])
def test_pixels_that_no_transfer_syntax_fits_are_refused_by_name(syntax: str | None) -> None:
    slices = scanned()
    for dataset in slices:
        dataset.PixelData = b"garbage!"
        if syntax is None:
            del dataset.file_meta.TransferSyntaxUID
        else:
            dataset.file_meta.TransferSyntaxUID = syntax
    found = check_headers(slices, Limits())
    assert [refusal.reason for refusal in found.refusals] == ([Reason.CODEC] if syntax is None else [])
    with pytest.raises(Rejected) as caught:
        read_ct(slices)
    assert [refusal.reason for refusal in caught.value.refusals] == [Reason.CODEC]
