"""Compressed frames, looked at before a decoder sees them: some decoders crash on, or smooth over, what is damaged."""

from collections.abc import Iterator

from openjpeg.utils import get_parameters
from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

_J2K = (*JPEG2000TransferSyntaxes, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)
_SOI = b"\xff\xd8"
_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Start of frame (ITU-T T.81 table B.1), and of a JPEG-LS frame (T.87 C.1.2); the three are tables and reserved."""

_SECTOR_OF_ZEROS = bytes(512)
"""As a disk or a broken transfer leaves it behind. Entropy-coded data of JPEG 2000 never has that many."""


def decoding_plugin(syntax: UID) -> str:
    """The pydicom plug-in to decode with, "" for any.

    GDCM gets neither JPEG-LS, where a wrong size aborts the process, nor JPEG 2000, where it accepts a broken stream.
    """
    if syntax in JPEGLSTransferSyntaxes:
        return "pyjpegls"
    return "pylibjpeg" if syntax in _J2K else ""


def decodable(syntax: UID) -> bool:
    """Whether the plug-in that `decoding_plugin` names, or any where it names none, is installed."""
    try:
        available = get_decoder(syntax).available_plugins
    except NotImplementedError:
        return False
    plugin = decoding_plugin(syntax)
    return plugin in available if plugin else get_decoder(syntax).is_available


def check_codestreams(dataset: Dataset) -> None:
    """ValueError or RuntimeError if a frame of the JPEG family is damaged, or not of the size the header says."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax not in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *_J2K):
        return
    for frame in _encoded(dataset):
        if syntax in JPEG2000TransferSyntaxes and _SECTOR_OF_ZEROS in frame:
            raise ValueError(f"{len(_SECTOR_OF_ZEROS)} zero bytes in a row, a part of the code stream is lost")
        rows, columns = _j2k_size(frame) if syntax in _J2K else jpeg_size(frame)
        if (rows, columns) != (dataset.Rows, dataset.Columns):
            raise ValueError(f"the code stream is {rows}×{columns}, the header says {dataset.Rows}×{dataset.Columns}")


def jpeg_size(frame: bytes) -> tuple[int, int]:
    """Rows and columns from the start of frame segment of JPEG or JPEG-LS; ValueError where there is none."""
    at = len(_SOI)
    while frame.startswith(_SOI) and at + 9 <= len(frame) and frame[at] == 0xFF:
        if frame[at + 1] in _SOF:
            return int.from_bytes(frame[at + 5 : at + 7]), int.from_bytes(frame[at + 7 : at + 9])
        # 0xFF may fill up before a marker (T.81 B.1.1.2); any other marker here begins a segment with its length.
        at += 1 if frame[at + 1] == 0xFF else 2 + int.from_bytes(frame[at + 2 : at + 4])
    raise ValueError("the code stream has no start of frame")


def _j2k_size(frame: bytes) -> tuple[int, int]:
    parameters = get_parameters(frame)
    return int(parameters["rows"]), int(parameters["columns"])


def _encoded(dataset: Dataset) -> Iterator[bytes]:
    offsets = None
    if "ExtendedOffsetTable" in dataset:
        offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    frames = int(dataset.get("NumberOfFrames") or 1)
    yield from generate_frames(dataset.PixelData, number_of_frames=frames, extended_offsets=offsets)
