"""Files are read as pydicom reads them, within limits."""

import tracemalloc
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from helpers import enhanced_ct, hostile_files, make_ct
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)
from pynetdicom.dsutils import encode, encode_file_meta

from service.domain import dicom_file
from service.domain.arrival import identify
from service.domain.dicom_file import beginning, header, memory_bytes, whole
from service.domain.inflating import Inflating
from service.domain.metered import LimitReached, Metered
from service.errors import Reason, Rejected

SYNTAXES = (
    *(ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian),
    *(JPEG2000Lossless, RLELossless),
)


def saved(dataset: Dataset, syntax: str, folder: Path) -> Path:
    if syntax in (JPEG2000Lossless, RLELossless):
        make_ct.compress([dataset], syntax)
    dataset.file_meta.TransferSyntaxUID = syntax
    path = folder / "one.dcm"
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    dataset.save_as(path, enforce_file_format=True, implicit_vr=implicit, little_endian=little)
    return path


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("multi_frame", [False, True])
def test_a_file_is_read_as_pydicom_reads_it(syntax: str, multi_frame: bool, tmp_path: Path) -> None:
    datasets = make_ct.make(slices=4, rows=64, columns=80).datasets
    path = saved(enhanced_ct.enhance(datasets) if multi_frame else datasets[0], syntax, tmp_path)
    expected = dcmread(path)
    with path.open("rb") as file:
        found = whole(file)
    assert found == expected and found.file_meta == expected.file_meta
    assert (found.filename, found.original_encoding) == (str(path), expected.original_encoding)
    assert found.pixel_array.tobytes() == expected.pixel_array.tobytes()
    with path.open("rb") as file:
        without = header(file)
    assert without == dcmread(path, stop_before_pixels=True) and without.file_meta == expected.file_meta
    with path.open("rb") as file:
        assert beginning(file, ["SOPInstanceUID", "Modality"]).SOPInstanceUID == expected.SOPInstanceUID


@pytest.mark.parametrize("claimed", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("size", [64, 512])
def test_pixels_are_read_as_they_are_encoded_whatever_the_meta_information_says(
    claimed: str, size: int, tmp_path: Path
) -> None:
    """Some senders label explicit VR as implicit, or the other way round; pydicom finds out."""
    dataset = make_ct.make(slices=1, rows=size, columns=size, lungs=False).datasets[0]
    truth = dataset.pixel_array.tobytes()
    path = tmp_path / "one.dcm"
    dataset.file_meta.TransferSyntaxUID = claimed
    written = encode(dataset, claimed != ImplicitVRLittleEndian, True)
    assert written is not None
    path.write_bytes(bytes(128) + b"DICM" + encode_file_meta(dataset.file_meta) + written)
    with path.open("rb") as file:
        assert whole(file).pixel_array.tobytes() == dcmread(path).pixel_array.tobytes() == truth


def test_long_private_elements_and_bulk_data_are_left_out_and_long_sequences_are_not(tmp_path: Path) -> None:
    (dataset,) = make_ct.make(slices=1).datasets
    dataset.add_new(0x00290010, "LO", "US")
    dataset.add_new(0x00291010, "OB", bytes(2000))
    dataset.add_new(0x00291011, "OB", bytes(20))
    dataset.add_new(0x60003000, "OW", bytes(5000))
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    dataset.ReferencedImageSequence = [item] * 200
    with saved(dataset, ExplicitVRLittleEndian, tmp_path).open("rb") as file:
        found = header(file)
    assert memory_bytes(found) < 50_000
    assert 0x00291011 in found and 0x00291010 not in found and 0x60003000 not in found
    assert len(found.ReferencedImageSequence) == 200


def deflated(content: bytes) -> BytesIO:
    deflater = zlib.compressobj(wbits=-15)
    return BytesIO(deflater.compress(content) + deflater.flush())


@pytest.mark.parametrize("most", [1, 999, 2**18, 2**18 + 1, 2_000_000])
def test_exactly_what_is_allowed_is_inflated(most: int) -> None:
    content = bytes(range(256)) * (most // 256 + 1)
    assert Inflating(deflated(content[:most]), most).read(most + 9) == content[:most]
    with pytest.raises(LimitReached, match=f"more than {most:,} bytes"):
        Inflating(deflated(content[:most] + b"1"), most).read(most + 9)
    assert Inflating(deflated(content[:most] + b"1"), most, cut=True).read(most + 9) == content[:most]


def test_an_inflated_file_can_be_sought() -> None:
    content = bytes(range(256)) * 100
    file = Inflating(deflated(content), 10**6)
    assert (file.seek(1000), file.read(3), file.tell()) == (1000, content[1000:1003], 1003)
    assert (file.seek(-2, 1), file.read(2)) == (1001, content[1001:1003])
    assert (file.seek(10**9), file.read(2), file.seek(0), file.read(2)) == (10**9, b"", 0, content[:2])
    with pytest.raises(ValueError, match="ends"):
        file.seek(0, 2)


@pytest.mark.parametrize("kept", [0, 1, 100])
def test_a_stream_that_is_cut_off_is_no_end(kept: int) -> None:
    with pytest.raises(zlib.error):
        Inflating(BytesIO(deflated(bytes(range(256)) * 100).getvalue()[:kept]), 10**6).read(10**6)


def test_no_dataset_is_read_whole_at_once() -> None:
    """As pydicom does to inflate it."""
    with pytest.raises(ValueError, match="whole"):
        Metered(BytesIO(b"1"), 10, 10).read()


def test_a_receiver_takes_a_few_megabytes_to_identify_a_bomb() -> None:
    """Two such objects of 1.2 MB took 3.9 GB."""
    bombs = hostile_files.HOSTILE["deflated, 768 MiB behind the UIDs"].make()
    tracemalloc.start()
    try:
        assert all(identify(bomb).series_uid for bomb in bombs)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


def claims_more(dataset: Dataset) -> None:
    dataset._dict[Tag("Rows")] = RawDataElement(Tag("Rows"), "US", 2, b"\xff\xff", 0, False, True)


@pytest.mark.parametrize("spoil", [claims_more, lambda dataset: dataset.pop("Rows")])
def test_pixels_are_read_up_to_what_the_header_claims(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Dataset], None]
) -> None:
    monkeypatch.setattr(dicom_file, "MOST_HEADER_BYTES", 20_000)
    (dataset,) = make_ct.make(slices=1, rows=96, columns=128).datasets
    spoil(dataset)
    path = saved(dataset, ExplicitVRLittleEndian, tmp_path)
    with path.open("rb") as file:
        if "Rows" in dataset:
            assert len(whole(file).PixelData) == 2 * 96 * 128
        else:
            with pytest.raises(Rejected) as rejected:
                whole(file)
            assert [refusal.reason for refusal in rejected.value.refusals] == [Reason.TOO_LARGE]
