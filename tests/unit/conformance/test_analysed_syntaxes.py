"""Every transfer syntax of which the conformance statement says that CTs in it are analysed, read as a CT is."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import gdcm
import numpy as np
import pytest
from helpers import make_ct
from helpers.conformance import tried
from pydicom import Dataset, dcmread
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSNearLossless,
)

from service.conformance.receiver import LIMITED, transfer_syntaxes
from service.conformance.rows import Row
from service.errors import Reason, Rejected
from service.imaging.read import read_ct

pytestmark = pytest.mark.slow

_BY_GDCM = {
    JPEGBaseline8Bit: gdcm.TransferSyntax.JPEGBaselineProcess1,
    JPEGExtended12Bit: gdcm.TransferSyntax.JPEGExtendedProcess2_4,
    JPEGLossless: gdcm.TransferSyntax.JPEGLosslessProcess14,
    JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
}
_WITH_LOSS = {JPEGLSNearLossless: {"jls_error": 3}, JPEG2000: {"j2k_cr": [4]}}
_SLICE = 40


@pytest.fixture(scope="module")
def plain() -> Sequence[Dataset]:
    return make_ct.make(rows=48, columns=64, pixel_mm=(6.0, 6.0)).datasets


@pytest.mark.parametrize("row", tried(transfer_syntaxes()))
def test_a_ct_with_a_slice_in_it_is_read(row: Row, plain: Sequence[Dataset], tmp_path: Path) -> None:
    syntax = UID(row.key)
    if "no encoder" in row.cells[2]:
        assert syntax in LIMITED
        with pytest.raises((NotImplementedError, RuntimeError)):
            make_ct.make(slices=1).datasets[0].compress(syntax)
        return
    eight_bits = syntax in (JPEGBaseline8Bit, JPEGExtended12Bit)
    expected = read_ct(plain).volume.array
    found = read_ct([*plain[:_SLICE], encoded(plain[_SLICE], syntax, tmp_path, eight_bits), *plain[_SLICE + 1 :]])
    lossless = not eight_bits and syntax not in _WITH_LOSS
    difference = np.abs(found.volume.array.astype(float) - expected)
    assert np.percentile(difference, 99) == 0 if lossless else np.percentile(difference, 99.9) < 60
    assert difference.max() == 0 if lossless else difference.max() > 0


def test_jpeg_extended_with_more_than_8_bits_is_refused_by_name(plain: Sequence[Dataset], tmp_path: Path) -> None:
    other = encoded(plain[_SLICE], JPEGExtended12Bit, tmp_path, eight_bits=False)
    with pytest.raises(Rejected) as refused:
        read_ct([*plain[:_SLICE], other, *plain[_SLICE + 1 :]])
    assert [one.reason for one in refused.value.refusals] == [Reason.CODEC]


def encoded(dataset: Dataset, syntax: UID, folder: Path, eight_bits: bool) -> Dataset:
    """The slice as it comes back from disk in another transfer syntax."""
    source, path = folder / "plain.dcm", folder / "encoded.dcm"
    made = deepcopy(dataset)
    if eight_bits:
        _with_eight_bits(made)
    if syntax in _BY_GDCM:
        made.save_as(source, enforce_file_format=True)
        _by_gdcm(source, path, _BY_GDCM[syntax])
        return dcmread(path)
    if syntax == ExplicitVRBigEndian:
        made.PixelData = made.pixel_array.byteswap().tobytes()
        made.file_meta.TransferSyntaxUID = syntax
        made.save_as(path, enforce_file_format=True, implicit_vr=False, little_endian=False)
    elif syntax.is_encapsulated:
        made.compress(syntax, generate_instance_uid=False, **_WITH_LOSS.get(syntax, {}))
        made.save_as(path, enforce_file_format=True)
    else:
        made.file_meta.TransferSyntaxUID = syntax
        made.save_as(path, enforce_file_format=True, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    return dcmread(path)


def _with_eight_bits(dataset: Dataset) -> None:
    hu = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 8, -1024
    dataset.PixelData = np.clip((hu + 1024) / 8, 0, 255).astype(np.uint8).tobytes()
    dataset["PixelData"].VR = "OB"


def _by_gdcm(source: Path, path: Path, syntax: int) -> None:
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(source))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
