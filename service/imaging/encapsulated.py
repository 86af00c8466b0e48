"""Encapsulated pixel data (PS3.5 A.4), looked at before anyone follows its offsets or expands its runs."""

from collections.abc import Iterator
from struct import unpack

from pydicom import Dataset
from pydicom.encaps import generate_frames

_BASIC, _EXTENDED = 4, 8
"""Bytes of an offset in the Basic and in the Extended Offset Table (PS3.3 C.7.6.3.1.8)."""

_RLE_HEADER = 64
_RUN = 128
"""Most bytes that two bytes of a segment expand to (PS3.5 G.3.1)."""

_HARMLESS = 2**26
"""Bytes that a segment may expand to unseen: to walk through it takes as long as to decode it."""


def encoded_frames(dataset: Dataset) -> Iterator[bytes]:
    """Frames as they are encoded; ValueError where an offset table does not have one offset for each."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    basic = int.from_bytes(dataset.PixelData[4:8], "little") // _BASIC
    offsets = None
    if "ExtendedOffsetTable" in dataset:
        offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
        if any(len(table) != _EXTENDED * frames for table in offsets):
            raise ValueError(f"the Extended Offset Table does not have {frames} offsets and lengths")
    if basic > frames:
        raise ValueError(f"the Basic Offset Table has {basic} offsets, the header says {frames} frames")
    yield from generate_frames(dataset.PixelData, number_of_frames=frames, extended_offsets=offsets)


def check_segments(frame: bytes, segments: int, pixels: int) -> None:
    """ValueError if an RLE frame does not consist of so many segments, one after the other, each of so many bytes.

    A segment may hold more, as padding; of a long one that is counted.
    """
    if len(frame) < _RLE_HEADER:
        raise ValueError("the frame is shorter than the header of RLE")
    count, *offsets = unpack("<16L", frame[:_RLE_HEADER])
    if count != segments:
        raise ValueError(f"the frame has {count} RLE segments, not {segments}")
    ends = [*offsets[1:count], len(frame)]
    for start, end in zip(offsets[:count], ends, strict=True):
        if not _RLE_HEADER <= start <= end:
            raise ValueError("the RLE segments do not follow each other within the frame")
        if (end - start) // 2 * _RUN > max(_HARMLESS, 2 * pixels) and _expands_beyond(frame[start:end], 2 * pixels):
            raise ValueError(f"an RLE segment expands to more than twice the {pixels} bytes of its plane")


def _expands_beyond(segment: bytes, most: int) -> bool:
    """Whether a segment expands to more than so many bytes (PS3.5 G.3.2)."""
    at = expanded = 0
    while at < len(segment) and expanded <= most:
        control = segment[at]
        if control < _RUN:
            expanded += control + 1
            at += control + 2
        elif control > _RUN:
            expanded += 257 - control
            at += 2
        else:
            at += 1
    return expanded > most
