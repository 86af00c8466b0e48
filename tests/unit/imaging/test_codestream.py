"""Damaged or contradictory compressed frames are refused before a decoder can crash on, or smooth over, them."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from helpers import make_ct
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless, RLELossless

from service.domain.flags import LOSSY
from service.errors import Reason, Rejected
from service.imaging.codestream import check_codestreams, jpeg_size, loses_information
from service.imaging.read import read_ct


def compressed(syntax: str) -> list[Dataset]:
    return make_ct.compress(make_ct.make(slices=84).datasets, syntax)


def first_half(code: bytes) -> bytes:
    """What is left when a transfer breaks off, with the end of the code stream as it was."""
    return code[: len(code) // 2] + bytes(len(code) - len(code) // 2 - 2) + code[-2:]


def last_tenth_lost(code: bytes) -> bytes:
    """OpenJPEG itself decodes this, to wrong pixels."""
    kept = len(code) - len(code) // 10
    return code[:kept] + bytes(len(code) - kept - 3) + code[-3:]


@pytest.mark.parametrize("damage", [first_half, last_tenth_lost])
def test_a_damaged_jpeg_2000_frame_is_refused(damage: Callable[[bytes], bytes]) -> None:
    datasets = compressed(JPEG2000Lossless)
    (code,) = generate_frames(datasets[40].PixelData, number_of_frames=1)
    datasets[40].PixelData = encapsulate([damage(code)])
    with pytest.raises(Rejected) as rejected:
        read_ct(datasets)
    assert [refusal.reason for refusal in rejected.value.refusals] == [Reason.CODEC]


def test_a_flat_jpeg_2000_frame_is_sound() -> None:
    dataset = make_ct.make(slices=1).datasets[0]
    dataset.PixelData = bytes(len(dataset.PixelData))
    check_codestreams(make_ct.compress([dataset], JPEG2000Lossless)[0])


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("keyword", ["Rows", "Columns"])
def test_a_frame_of_another_size_than_the_header_says_is_refused(syntax: str, keyword: str) -> None:
    datasets = compressed(syntax)
    for dataset in datasets:
        setattr(dataset, keyword, dataset[keyword].value // 2)
    with pytest.raises(Rejected, match=r"CODEC: .*the code stream is 96×128, the header says"):
        read_ct(datasets)


@pytest.mark.parametrize("progressive", [False, True])
def test_the_size_of_a_jpeg_frame(progressive: bool) -> None:
    with BytesIO() as buffer:
        Image.fromarray(np.zeros((30, 50), np.uint8)).save(buffer, "JPEG", progressive=progressive)
        code = buffer.getvalue()
    assert jpeg_size(code) == (30, 50)
    assert jpeg_size(code[:2] + b"\xff\xff" + code[2:]) == (30, 50)
    dataset = make_ct.make(slices=1).datasets[0]
    dataset.file_meta.TransferSyntaxUID, dataset.PixelData = JPEGLosslessSV1, encapsulate([code])
    with pytest.raises(ValueError, match="the code stream is 30×50"):
        check_codestreams(dataset)


@pytest.mark.parametrize("code", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x00", b"\xff\xd8" + bytes(40), b"\x00" * 40])
def test_no_start_of_frame(code: bytes) -> None:
    with pytest.raises(ValueError, match="no start of frame"):
        jpeg_size(code)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
def test_zeros_after_the_end_of_a_code_stream_are_padding(syntax: str) -> None:
    dataset = make_ct.compress(make_ct.make(slices=1).datasets, syntax)[0]
    expected = dataset.pixel_array.copy()
    (code,) = generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = encapsulate([code + bytes(600)], has_bot=False)
    check_codestreams(dataset)
    assert np.array_equal(dataset.pixel_array, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "syntax, options, lossy",
    [
        (JPEG2000, {"j2k_cr": [5]}, True),
        (JPEG2000Lossless, {}, False),
        (JPEGLSNearLossless, {"jls_error": 2}, True),
        (JPEGLSLossless, {}, False),
    ],
)
def test_the_code_stream_tells_of_loss(syntax: str, options: dict[str, object], lossy: bool) -> None:
    datasets = make_ct.make(slices=84).datasets
    for dataset in datasets:
        dataset.compress(syntax, generate_instance_uid=False, **options)
        dataset.pop("LossyImageCompression", None)
    if syntax == JPEGLSNearLossless:
        datasets[0].file_meta.TransferSyntaxUID = JPEGLSLossless  # as it was compressed again by someone who forgot
    (code,) = generate_frames(datasets[0].PixelData, number_of_frames=1)
    assert loses_information(code) is lossy
    assert (LOSSY in read_ct(datasets).flags) is lossy


def test_a_jpeg_of_cosines_has_lost_something() -> None:
    with BytesIO() as buffer:
        Image.fromarray(np.zeros((30, 50), np.uint8)).save(buffer, "JPEG")
        assert loses_information(buffer.getvalue())


@pytest.mark.parametrize("code", [b"", b"\xff\xd8", b"\xff\x4f\xff\x52\x00\x02", b"\xff\xd8\xff\xda\x00\x02"])
def test_a_broken_code_stream_tells_nothing(code: bytes) -> None:
    assert not loses_information(code)
