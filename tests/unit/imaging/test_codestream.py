"""Damaged or contradictory compressed frames are refused before a decoder can crash on, or smooth over, them."""

from collections.abc import Callable
from io import BytesIO

import make_ct
import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

from service.errors import Reason, Rejected
from service.imaging.codestream import check_codestreams, jpeg_size
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
