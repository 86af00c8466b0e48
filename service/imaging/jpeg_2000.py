"""What a JPEG 2000 or HTJ2K code stream asks of its decoder (ITU-T T.800 annex A), before a decoder sees it.

OpenJPEG reserves memory for each component, tile, precinct and code block that a header of a hundred bytes claims.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from struct import unpack

from openjpeg.utils import get_parameters

_START = b"\xff\x4f\xff\x51"
"""SOC and SIZ: a code stream may stand in a JP2 file."""

_SOT, _SOD = 0x90, 0x93
_CODING = {0x52: (0, 5), 0x53: (1, 2)}
"""COD and COC: where the flags stand in their segment (Scod, Scoc), and where the parameters begin."""

_SIZE_BYTES = 42

_MOST_TILES = 4096
_MOST_PRECINCTS = 2**16
_MOST_BLOCKS = 2**18
"""About 7 kB, 0.5 kB and 0.4 kB of memory each; of 4096 x 4096 pixels, those of 8 x 8 pixels are as many blocks."""

_LOW_BITS = 0x0F


@dataclass(frozen=True, slots=True)
class _Size:
    """SIZ (A.5.1): the reference grid up to the image's far corner, its tiles and components."""

    width: int
    height: int
    left: int
    top: int
    tile_width: int
    tile_height: int
    tile_left: int
    tile_top: int
    components: int

    @property
    def tiles(self) -> int:
        across, down = self.width - self.tile_left, self.height - self.tile_top
        return max(0, ceil(across / self.tile_width)) * max(0, ceil(down / self.tile_height))


def jpeg_2000_size(frame: bytes) -> tuple[int, int, int]:
    """Rows, columns and components; ValueError or RuntimeError for a header that is broken, or asks for too much."""
    at = frame.find(_START)
    if at < 0 or len(frame) < at + _SIZE_BYTES:
        raise ValueError("the code stream has no size")
    size = _Size(*unpack(">8LH", frame[at + 8 : at + _SIZE_BYTES]))
    if size.components != 1:
        return size.height - size.top, size.width - size.left, size.components
    if not (size.tile_width and size.tile_height):
        raise ValueError("the tiles of the code stream have no size")
    if size.tiles > _MOST_TILES:
        raise ValueError(f"the code stream has {size.tiles} tiles")
    for marker, segment in _segments(frame, at + 2):
        if marker in _CODING:
            flags, style = _CODING[marker]
            _check_coding(segment[flags], segment[style:], size)
    parameters = get_parameters(frame)
    return int(parameters["rows"]), int(parameters["columns"]), int(parameters["samples_per_pixel"])


def _check_coding(flags: int, style: bytes, size: _Size) -> None:
    """Coding style (A.6.1): levels, code block's width and height, style, transform, a precinct for each resolution."""
    levels, width, height = style[:3]
    width, height = width + 2, height + 2
    blocks = size.width * size.height / 2 ** (width + height)
    precincts = 0
    for level in range(levels + 1 if flags & 1 else 0):
        exponents = style[5 + level]
        shrunk = 2 ** (levels - level)
        across, down = 2 ** (exponents & _LOW_BITS) * shrunk, 2 ** (exponents >> 4) * shrunk
        precincts += ceil(size.width / across) * ceil(size.height / down)
    if blocks > _MOST_BLOCKS or precincts > _MOST_PRECINCTS:
        raise ValueError(f"the code stream is cut into {precincts} precincts and {blocks:.0f} code blocks")


def _segments(frame: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Markers of the main header and of all tile-part headers (A.2, A.4), with their segments without the length."""
    end_of_part = len(frame)
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == _SOD:
            at = max(end_of_part, at + 2)
            continue
        length = int.from_bytes(frame[at + 2 : at + 4])
        segment = frame[at + 4 : at + 2 + length]
        if marker == _SOT:
            part_length = int.from_bytes(segment[2:6])
            end_of_part = at + part_length if part_length else len(frame)
        yield marker, segment
        at += 2 + length
