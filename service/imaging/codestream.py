"""Compressed frames, looked at before a decoder sees them: some decoders crash on, or smooth over, what is damaged."""

from collections.abc import Iterator

from pydicom import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from service.imaging.attributes import transfer_syntax
from service.imaging.encapsulated import check_segments, encoded_frames
from service.imaging.jpeg_2000 import jpeg_2000_size

_J2K = (*JPEG2000TransferSyntaxes, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)
_CODESTREAMS = (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *_J2K)
_SOI, _EOC = b"\xff\xd8", b"\xff\xd9"
_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Start of frame (ITU-T T.81 table B.1), and of a JPEG-LS frame (T.87 C.1.2); the three are tables and reserved."""

_SOF_LS, _SOF_LOSSLESS = 0xF7, (0xC3, 0xC7, 0xCB, 0xCF)
_SOC, _COD, _SOT, _SOS = b"\xff\x4f", 0x52, 0x90, 0xDA

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


def codestreams(dataset: Dataset) -> Iterator[bytes]:
    """Encoded frames of the JPEG family, none where the pixels are encoded in another way."""
    if transfer_syntax(dataset) in _CODESTREAMS:
        yield from encoded_frames(dataset)


def check_codestreams(dataset: Dataset) -> None:
    """ValueError or RuntimeError if a frame is damaged, or decodes to more than the header says."""
    syntax = transfer_syntax(dataset)
    if syntax == RLELossless:
        segments = int(dataset.BitsAllocated) // 8 * int(dataset.get("SamplesPerPixel") or 1)
        for frame in encoded_frames(dataset):
            check_segments(frame, segments, dataset.Rows * dataset.Columns)
    for frame in codestreams(dataset):
        if syntax in JPEG2000TransferSyntaxes and _SECTOR_OF_ZEROS in _up_to_end(frame):
            raise ValueError(f"{len(_SECTOR_OF_ZEROS)} zero bytes in a row, a part of the code stream is lost")
        for rows, columns, components in [jpeg_2000_size(frame)] if syntax in _J2K else _jpeg_sizes(frame):
            if (rows, columns) != (dataset.Rows, dataset.Columns):
                said = f"the header says {dataset.Rows}×{dataset.Columns}"
                raise ValueError(f"the code stream is {rows}×{columns}, {said}")
            if components != 1:
                raise ValueError(f"the code stream has {components} components, a CT has one")


def _up_to_end(frame: bytes) -> bytes:
    """A JPEG 2000 code stream without what pads it; whole where its end is lost (ITU-T T.800 A.4.4: EOC)."""
    end = frame.rfind(_EOC)
    return frame if end < 0 else frame[:end]


def jpeg_size(frame: bytes) -> tuple[int, int]:
    """Rows and columns from the start of frame segment of JPEG or JPEG-LS; ValueError where there is none."""
    rows, columns, _ = _jpeg_sizes(frame)[0]
    return rows, columns


def _jpeg_sizes(frame: bytes) -> list[tuple[int, int, int]]:
    """Rows, columns and components of each start of frame, at least one: which of several a decoder takes is open."""
    starts = [segment for marker, segment in _segments(frame) if marker in _SOF and len(segment) >= 6]
    if not starts:
        raise ValueError("the code stream has no start of frame")
    return [(int.from_bytes(start[1:3]), int.from_bytes(start[3:5]), start[5]) for start in starts]


def loses_information(frame: bytes) -> bool:
    """Whether a code stream tells that it was compressed with loss.

    JPEG: by a discrete cosine transform or a point transform (ITU-T T.81 B.2.2, B.2.3); JPEG-LS: by NEAR (T.87 C.1.2);
    JPEG 2000: by the irreversible wavelet (T.800 table A.20). One cut short with the reversible one does not tell.
    """
    start = None
    for marker, segment in _segments(frame):
        if marker == _COD and frame.startswith(_SOC):
            return len(segment) > 9 and segment[9] == 0
        start = marker if marker in _SOF else start
        if marker == _SOS and len(segment) >= 3:
            return segment[-3] > 0 if start == _SOF_LS else start not in _SOF_LOSSLESS or segment[-1] & 0x0F > 0
    return False


def _segments(frame: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers with the segments they begin, without their length, up to the first entropy-coded data."""
    at = 2
    while frame.startswith((_SOI, _SOC)) and at + 4 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:  # may fill up before a marker (T.81 B.1.1.2)
            at += 1
            continue
        length = int.from_bytes(frame[at + 2 : at + 4])
        yield marker, frame[at + 4 : at + 2 + length]
        if marker in (_SOS, _SOT):
            return
        at += 2 + length
