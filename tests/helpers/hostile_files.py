"""Files that ask for far more memory, time or depth than they have bytes, and what becomes of each.

`python hostile_files.py` feeds every one to the receiver's `identify`, and a series with it to `scan` and `Analyst`.
It prints what came of it, one line of JSON for each.
"""

import json
import pickle
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from struct import pack
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from helpers import enhanced_ct, evidence_samples, make_ct
from helpers.lungs_as_lobe import LungsAsLobe
from helpers.odd_attributes import unclean
from service.analysis.analyst import Analyst, Run
from service.domain.arrival import Unidentified, identify
from service.domain.eligibility import Limits
from service.errors import Reason
from service.store.dicom_folder import scan

SLICES, ROWS, COLUMNS = 8, 96, 128
LIMITS = Limits(min_slices=4, min_extent_mm=20.0)
"""Those of a CT of a few slices: it takes less time to read."""

MIDDLE = 4

_PIXELS = b"\xe0\x7f\x10\x00"
_OB, _UNDEFINED = b"OB\0\0", b"\xff\xff\xff\xff"
_ITEM, _ITEM_END, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"
_SEQUENCE = b"\x40\x00\x75\x02SQ\0\0" + _UNDEFINED
_IMAGES = b"\x08\x00\x40\x11SQ\0\0" + _UNDEFINED
_BOMB_BYTES = 3 * 2**28
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Hostile:
    """make: the files of a series. identified: by the receiver. reasons: why the series is not analysed, () if it is.

    left_out: files that are no part of the series. most_bytes: of memory, above what the process has before.
    """

    make: Callable[[], Sequence[bytes]]
    reasons: tuple[Reason, ...]
    identified: bool = True
    left_out: int = 0
    most_bytes: int = 700_000_000


@cache
def _made() -> bytes:
    made = make_ct.make(slices=44, spacing_mm=5.0, rows=ROWS, columns=COLUMNS).datasets
    return pickle.dumps(made[18 : 18 + SLICES])


def datasets() -> list[Dataset]:
    """Slices through the middle of the phantom."""
    made: list[Dataset] = pickle.loads(_made())
    return made


@cache
def slices() -> tuple[bytes, ...]:
    return tuple(map(_file, datasets()))


def _file(dataset: Dataset) -> bytes:
    with BytesIO() as file:
        dataset.save_as(file, enforce_file_format=True)
        return file.getvalue()


def _one(number: int = MIDDLE) -> Dataset:
    return datasets()[number]


def _with(hostile: bytes, number: int = MIDDLE) -> list[bytes]:
    """The series, one slice of which is hostile."""
    return [*slices()[:number], hostile, *slices()[number + 1 :]]


def _before(tag: bytes, inserted: bytes, number: int = MIDDLE) -> bytes:
    """A slice with bytes before the element of a tag."""
    content = slices()[number]
    at = content.index(tag, 132)
    return content[:at] + inserted + content[at:]


def _private(group: int, length: int) -> bytes:
    return pack("<HH4sL", group, 0x1010, _OB, length)


def _value(keyword_tag: bytes, vr: bytes, value: bytes) -> bytes:
    """A slice with another value of a short element."""
    content = slices()[MIDDLE]
    at = content.index(keyword_tag + vr, 132)
    length = int.from_bytes(content[at + 6 : at + 8], "little")
    return content[: at + 6] + pack("<H", len(value)) + value + content[at + 8 + length :]


def _attributes(**values: Any) -> list[bytes]:
    dataset = _one()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return _with(_file(dataset))


def _everywhere(syntax: str, pixels: bytes | None, **values: Any) -> list[bytes]:
    files = []
    for dataset in datasets():
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        if pixels is not None:
            dataset.file_meta.TransferSyntaxUID = syntax
            dataset.PixelData = pixels
            dataset["PixelData"].VR = "OB"
        files.append(_file(dataset))
    return files


@cache
def _zeros(length: int) -> bytes:
    """So many zeros in the middle of a deflated stream."""
    deflater = zlib.compressobj(6, wbits=-15)
    pieces = [deflater.compress(bytes(MIB)) for _ in range(length // MIB)]
    return b"".join(pieces) + deflater.flush(zlib.Z_FULL_FLUSH)


def _deflated(before: bytes, zeros: int, after: bytes) -> bytes:
    first, last = (zlib.compressobj(6, wbits=-15) for _ in range(2))
    begin = first.compress(before) + first.flush(zlib.Z_FULL_FLUSH)
    return begin + (_zeros(zeros) if zeros else b"") + last.compress(after) + last.flush()


def _deflated_slice(tag: bytes, element: bytes, zeros: int, number: int = MIDDLE) -> bytes:
    """A deflated slice with an element of so many zeros before the element of a tag, b"" at the end."""
    dataset = _one(number)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    content = _file(dataset)
    start = 144 + int.from_bytes(content[140:144], "little")
    inflated = zlib.decompress(content[start:], -15)
    at = inflated.index(tag) if tag else len(inflated)
    return content[:start] + _deflated(inflated[:at] + element, zeros, inflated[at:])


def _deflated_pixels() -> bytes:
    dataset = _one()
    del dataset.PixelData
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    content = _file(dataset)
    start = 144 + int.from_bytes(content[140:144], "little")
    element = _PIXELS + b"OW\0\0" + pack("<L", _BOMB_BYTES)
    return content[:start] + _deflated(zlib.decompress(content[start:], -15) + element, _BOMB_BYTES, b"")


def _broken(kept: float, damage: bytes = b"") -> bytes:
    """A deflated slice, cut off, or overwritten from there."""
    content = _deflated_slice(b"", b"", 0)
    at = int(len(content) * kept) if kept else 144 + int.from_bytes(content[140:144], "little") + 4
    return content[:at] + damage


def _frame(syntax: str) -> bytes:
    (dataset,) = make_ct.compress([_one()], syntax)
    return bytes(next(generate_frames(dataset.PixelData, number_of_frames=1)))


def _encapsulated(syntax: str, pixels: bytes) -> list[bytes]:
    dataset = _one()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = pixels
    dataset["PixelData"].VR = "OB"
    return _with(_file(dataset))


def _j2k(columns: int, rows: int, tile: tuple[int, int] | None = None, components: int = 1) -> bytes:
    frame = _frame(JPEG2000Lossless)
    width, height = tile or (columns, rows)
    size = pack(">8LH", columns, rows, 0, 0, width, height, 0, 0, components) + b"\x0b\x01\x01" * components
    return frame[:4] + pack(">HH", 4 + len(size), 0) + size + frame[4 + int.from_bytes(frame[4:6]) :]


def _in_a_tile(frame: bytes) -> bytes:
    """The same with its COD repeated in the header of the first tile-part, and a harmless one in the main header."""
    at, sound = frame.index(b"\xff\x52"), _j2k(2048, 4096)
    cod = frame[at : at + 2 + int.from_bytes(frame[at + 2 : at + 4])]
    part = sound.index(b"\xff\x90")
    header = sound[part : part + 6] + pack(">L", len(sound) - part + len(cod)) + sound[part + 10 : part + 12]
    return sound[:part] + header + cod + sound[part + 12 :]


def _precincts(exponents: int, blocks: int = 4) -> bytes:
    """A code stream of 4096 x 2048 pixels with precincts and code blocks of a size."""
    frame = _j2k(2048, 4096)
    at = frame.index(b"\xff\x52")
    cod = frame[at + 4 : at + 2 + int.from_bytes(frame[at + 2 : at + 4])]
    coding = b"\x01" + cod[1:6] + bytes((blocks, blocks)) + cod[8:10] + bytes((exponents,)) * (cod[5] + 1)
    return frame[: at + 2] + pack(">H", len(coding) + 2) + coding + frame[at + 4 + len(cod) :]


def _jpeg(marker: int, columns: int, rows: int, components: int = 1) -> bytes:
    start = pack(">BHHB", 16, rows, columns, components) + b"".join(bytes((k, 0x11, 0)) for k in range(components))
    scan_ = bytes((components,)) + b"".join(bytes((k, 0)) for k in range(components)) + b"\x01\0\0"
    body = b"".join(b"\xff" + bytes((m,)) + pack(">H", len(s) + 2) + s for m, s in ((marker, start), (0xDA, scan_)))
    return b"\xff\xd8" + body + bytes(200) + b"\xff\xd9"


def _two_starts(marker: int) -> bytes:
    first, second = _jpeg(marker, COLUMNS, ROWS), _jpeg(marker, 65535, 65535)
    return first[: first.index(b"\xff\xda")] + second[2:]


def _rle(segments: Sequence[bytes], offsets: Sequence[int] = (), count: int | None = None) -> bytes:
    places = [64 + sum(map(len, segments[:k])) for k in range(len(segments))]
    header = [len(segments) if count is None else count, *(offsets or places)]
    return pack("<16L", *header, *[0] * (16 - len(header))) + b"".join(segments)


def _basic_table(entries: int, claimed: int | None = None) -> bytes:
    length = 4 * entries if claimed is None else claimed
    rest = encapsulate([_frame(JPEG2000Lossless)], has_bot=False)[8:]
    return _ITEM + pack("<L", length) + bytes(4 * entries) + rest


def _extended_table(entries: int, length: int) -> list[bytes]:
    dataset = _one()
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData, *_ = encapsulate_extended([_frame(JPEG2000Lossless)])
    dataset["PixelData"].VR = "OB"
    dataset.ExtendedOffsetTable = bytes(8 * entries)
    dataset.ExtendedOffsetTableLengths = pack("<Q", length) * entries
    return _with(_file(dataset))


def _lut() -> list[bytes]:
    lut = Dataset()
    lut.LUTDescriptor, lut.ModalityLUTType = [65535, 0, 16], "HU"
    lut.LUTData = bytes(40 * MIB)
    return _attributes(ModalityLUTSequence=[lut])


def _pixels(change: Callable[[bytes], bytes]) -> list[bytes]:
    dataset = _one()
    dataset.PixelData = change(dataset.PixelData)
    return _with(_file(dataset))


def _enhanced(groups: bytes) -> list[bytes]:
    """An Enhanced CT with other functional groups."""
    dataset = enhanced_ct.enhance(datasets())
    del dataset.PerFrameFunctionalGroupsSequence
    content = _file(dataset)
    at = content.index(_PIXELS)
    return [content[:at] + b"\x00\x52\x30\x92SQ\0\0" + groups + content[at:]]


def _items(count: int) -> bytes:
    return pack("<L", 8 * count) + (_ITEM + bytes(4)) * count


_UNREADABLE, _LARGE, _CODEC = (Reason.UNREADABLE,), (Reason.TOO_LARGE,), (Reason.CODEC,)
_BIG = 65535

HOSTILE: dict[str, Hostile] = {
    "deflated, 768 MiB before the UIDs": Hostile(
        lambda: _with(_deflated_slice(b"\x20\x00\x0d\x00", _private(9, _BOMB_BYTES), _BOMB_BYTES)),
        (Reason.MISSING_SLICES,),
        False,
        1,
    ),
    "deflated, 768 MiB behind the UIDs": Hostile(
        lambda: _with(_deflated_slice(_PIXELS, _private(0x29, _BOMB_BYTES), _BOMB_BYTES)), _LARGE
    ),
    "deflated, 768 MiB of pixels": Hostile(lambda: _with(_deflated_pixels()), _LARGE),
    "deflated, 1,000 slices of 768 MiB": Hostile(
        lambda: [_deflated_slice(_PIXELS, _private(0x29, _BOMB_BYTES), _BOMB_BYTES)] * 1000, _LARGE
    ),
    "deflated, 12 MiB of text in each of 60 slices": Hostile(
        lambda: [_deflated_slice(_PIXELS, b"\x40\x00\x60\xa1UT\0\0" + pack("<L", 12 * MIB), 12 * MIB)] * 60, _LARGE
    ),
    "deflated, broken at its beginning": Hostile(
        lambda: _with(_broken(0, b"\xff" * 5000)), (Reason.MISSING_SLICES,), False, 1
    ),
    "deflated, broken in the pixels": Hostile(lambda: _with(_broken(0.6, b"\xff" * 5000)), _UNREADABLE),
    "deflated, cut off in the pixels": Hostile(lambda: _with(_broken(0.6)), _UNREADABLE),
    "JPEG 2000 of 65,535, header of 128": Hostile(
        lambda: _encapsulated(JPEG2000Lossless, encapsulate([_j2k(_BIG, _BIG)])), _CODEC
    ),
    "JPEG 2000 and header of 65,535": Hostile(
        lambda: _everywhere(JPEG2000Lossless, encapsulate([_j2k(_BIG, _BIG)]), Rows=_BIG, Columns=_BIG), _LARGE
    ),
    "JPEG 2000 of 4,294,967,295": Hostile(
        lambda: _encapsulated(JPEG2000Lossless, encapsulate([_j2k(2**32 - 1, 2**32 - 1)])), _CODEC
    ),
    "JPEG 2000 of 16,384 components": Hostile(
        lambda: _encapsulated(JPEG2000Lossless, encapsulate([_j2k(COLUMNS, ROWS, components=16384)])), _CODEC
    ),
    "JPEG 2000 of 12,288 tiles": Hostile(
        lambda: _encapsulated(JPEG2000Lossless, encapsulate([_j2k(COLUMNS, ROWS, (1, 1))])), _CODEC
    ),
    "JPEG 2000 of 16 million precincts": Hostile(
        lambda: _everywhere(JPEG2000Lossless, encapsulate([_precincts(0)]), Rows=4096, Columns=2048), _CODEC
    ),
    "JPEG 2000 of 16 million precincts in a tile": Hostile(
        lambda: _everywhere(JPEG2000Lossless, encapsulate([_in_a_tile(_precincts(0))]), Rows=4096, Columns=2048), _CODEC
    ),
    "HTJ2K of 65,535": Hostile(lambda: _encapsulated(HTJ2KLossless, encapsulate([_j2k(_BIG, _BIG)])), _CODEC),
    "JPEG-LS of 65,535": Hostile(lambda: _encapsulated(JPEGLSLossless, encapsulate([_jpeg(0xF7, _BIG, _BIG)])), _CODEC),
    "JPEG-LS of 255 components": Hostile(
        lambda: _encapsulated(JPEGLSLossless, encapsulate([_jpeg(0xF7, COLUMNS, ROWS, 255)])), _CODEC
    ),
    "JPEG-LS with a second size": Hostile(
        lambda: _encapsulated(JPEGLSLossless, encapsulate([_two_starts(0xF7)])), _CODEC
    ),
    "JPEG of 65,535": Hostile(lambda: _encapsulated(JPEGLosslessSV1, encapsulate([_jpeg(0xC3, _BIG, _BIG)])), _CODEC),
    "JPEG and header of 65,535": Hostile(
        lambda: _everywhere(JPEGLosslessSV1, encapsulate([_jpeg(0xC3, _BIG, _BIG)]), Rows=_BIG, Columns=_BIG),
        _LARGE,
    ),
    "JPEG with a second size": Hostile(
        lambda: _encapsulated(JPEGLosslessSV1, encapsulate([_two_starts(0xC3)])), _CODEC
    ),
    "RLE that expands to 450 MB": Hostile(
        lambda: _encapsulated(RLELossless, encapsulate([_rle([b"\x81\0" * 3_500_000, b"\x81\0" * 96])])), _CODEC
    ),
    "RLE with offsets that go back": Hostile(
        lambda: _encapsulated(RLELossless, encapsulate([_rle([b"\x81\0" * 96] * 2, (200, 64))])), _CODEC
    ),
    "RLE with offsets beyond the frame": Hostile(
        lambda: _encapsulated(RLELossless, encapsulate([_rle([b"\x81\0" * 96] * 2, (64, 2**32 - 1))])), _CODEC
    ),
    "RLE of four billion segments": Hostile(
        lambda: _encapsulated(RLELossless, encapsulate([_rle([b"\x81\0" * 96] * 2, count=2**32 - 1)])), _CODEC
    ),
    "10^9 frames": Hostile(lambda: _attributes(NumberOfFrames=10**9), _UNREADABLE),
    "ten million basic offsets": Hostile(lambda: _encapsulated(JPEG2000Lossless, _basic_table(10_000_000)), _LARGE),
    "a million basic offsets": Hostile(lambda: _encapsulated(JPEG2000Lossless, _basic_table(1_000_000)), _CODEC),
    "basic offsets of 4 GiB": Hostile(lambda: _encapsulated(JPEG2000Lossless, _basic_table(1, 2**32 - 4)), _CODEC),
    "a million extended offsets": Hostile(lambda: _extended_table(1_000_000, 2**40), _CODEC),
    "an extended offset of 2^63 bytes": Hostile(lambda: _extended_table(1, 2**63), _CODEC),
    "a million fragments": Hostile(
        lambda: _encapsulated(JPEG2000Lossless, _ITEM + bytes(4) + (_ITEM + bytes(4)) * 1_000_000), _LARGE
    ),
    "sequences nested 10,000 deep": Hostile(
        lambda: _with(_before(_PIXELS, (_SEQUENCE + _ITEM + _UNDEFINED) * 10_000)), (Reason.MISSING_SLICES,), False, 1
    ),
    "sequences nested 10,000 deep that end": Hostile(
        lambda: _with(_before(_PIXELS, (_SEQUENCE + _ITEM + _UNDEFINED) * 10_000 + (_ITEM_END + _END) * 10_000)),
        (Reason.MISSING_SLICES,),
        False,
        1,
    ),
    "two million items": Hostile(
        lambda: _with(_before(b"\x10\x00\x10\x00", _IMAGES + (_ITEM + bytes(4)) * 2_000_000 + _END)),
        (Reason.MISSING_SLICES,),
        False,
        1,
    ),
    "an item of two million elements": Hostile(
        lambda: _with(
            _before(
                b"\x10\x00\x10\x00",
                _IMAGES
                + _ITEM
                + _UNDEFINED
                + b"".join(pack("<HH4s", 0x11, k & 0xFFFF, b"CS\0\0") for k in range(2_000_000))
                + _ITEM_END
                + _END,
            )
        ),
        (Reason.MISSING_SLICES,),
        False,
        1,
    ),
    "a million frames": Hostile(lambda: _enhanced(_items(1_000_000)), _LARGE),
    "a million frames without a length": Hostile(
        lambda: _enhanced(_UNDEFINED + (_ITEM + bytes(4)) * 1_000_000 + _END), _LARGE
    ),
    "100,000 frames": Hostile(lambda: _enhanced(_items(100_000)), _UNREADABLE),
    "200,000 contrast agents": Hostile(
        lambda: _with(_before(b"\x18\x00\x50\x00", b"\x18\x00\x12\x00SQ\0\0" + _items(200_000))), _UNREADABLE
    ),
    "200,000 contrast agents in each slice": Hostile(
        lambda: [_before(b"\x18\x00\x50\x00", b"\x18\x00\x12\x00SQ\0\0" + _items(200_000), k) for k in range(SLICES)],
        _UNREADABLE,
    ),
    "a private element that claims 4 GiB": Hostile(
        lambda: _with(_before(b"\x18\x00\x50\x00", _private(0x11, 2**32 - 2))), (Reason.MISSING_SLICES,), False, 1
    ),
    "a text that claims 4 GiB": Hostile(
        lambda: _with(_before(_PIXELS, b"\x40\x00\x60\xa1UT\0\0" + pack("<L", 2**32 - 2))), _UNREADABLE
    ),
    "64 bits allocated": Hostile(lambda: _attributes(BitsAllocated=64), _UNREADABLE),
    "1 bit allocated": Hostile(lambda: _attributes(BitsAllocated=1), _UNREADABLE),
    "0 bits allocated": Hostile(lambda: _attributes(BitsAllocated=0), _UNREADABLE),
    "0 samples": Hostile(lambda: _attributes(SamplesPerPixel=0), _UNREADABLE),
    "4 samples": Hostile(lambda: _attributes(SamplesPerPixel=4), _UNREADABLE),
    "0 rows": Hostile(lambda: _attributes(Rows=0), _UNREADABLE),
    "65,535 rows and columns, pixels of 128": Hostile(lambda: _everywhere("", None, Rows=_BIG, Columns=_BIG), _LARGE),
    "a private element of 12 MiB in each of 60 slices": Hostile(
        lambda: [_before(_PIXELS, _private(0x29, 12 * MIB) + bytes(12 * MIB))] * 60,
        (Reason.DUPLICATE_POSITION,),
        most_bytes=150_000_000,
    ),
    "a look-up table of 40 MiB": Hostile(_lut, _LARGE),
    "32,000 positions": Hostile(lambda: _with(_value(b"\x20\x00\x32\x00", b"DS", b"1\\" * 32_000)), _UNREADABLE),
    "32,000 SOP classes": Hostile(
        lambda: _with(_value(b"\x08\x00\x16\x00", b"UI", b"1\\" * 32_000)), _UNREADABLE, identified=False
    ),
    "pixels shorter than claimed": Hostile(lambda: _pixels(lambda pixels: pixels[:-2000]), _CODEC),
    "no pixels": Hostile(lambda: _pixels(lambda pixels: b""), _CODEC),
    "a hundred slices' pixels in one": Hostile(lambda: _pixels(lambda pixels: pixels * 100), _CODEC),
    "100 MiB of pixels": Hostile(lambda: _pixels(lambda pixels: bytes(100 * MIB)), _LARGE),
}


class _NoBackend:
    """`LungsAsLobe` asks nothing of it."""


def _peak_bytes() -> int:
    return int(next(line for line in _status() if line.startswith("VmHWM")).split()[1]) * 1024


def _status() -> list[str]:
    return Path("/proc/self/status").read_text(encoding="ascii").splitlines()


def fed(files: Sequence[bytes], folder: Path) -> dict[str, Any]:
    """What the receiver and the command line make of a series."""
    try:
        identify(files[min(MIDDLE, len(files) - 1)])
        identified = True
    except Unidentified:
        identified = False
    for number, content in enumerate(files):
        path = folder / f"{number:04d}.dcm"
        if number and content is files[number - 1]:
            path.hardlink_to(folder / "0000.dcm")
        else:
            path.write_bytes(content)
    left_out: dict[Path, str] = {}
    series = scan([folder], left_out.__setitem__)
    analyst = Analyst(LungsAsLobe(), _NoBackend(), LIMITS, "1")  # type: ignore[arg-type]
    outcome = analyst.analyse(series, lambda *_: None, {}, Run(evidence_samples.ANALYSED_AT))
    refusals = [refusal for one in outcome.refusals.values() for refusal in one]
    return {
        "identified": identified,
        "left_out": list(left_out.values()),
        "reasons": [str(refusal.reason) for refusal in refusals],
        "details": [refusal.detail[:300] for refusal in refusals],
        "evidence": len(outcome.evidence),
        "unclean": [name for one in outcome.evidence if one.sop_class_uid for name in _unclean(one.content)],
    }


def _unclean(content: bytes) -> list[str]:
    return unclean(dcmread(BytesIO(content)))


def main(names: Sequence[str]) -> None:
    """Feed the files of each name. The peak of memory is what was taken above what the process had before."""
    with tempfile.TemporaryDirectory() as folder:
        fed(slices(), Path(folder))
    for name in names:
        files = HOSTILE[name].make()
        with tempfile.TemporaryDirectory() as folder:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew (proc(5))
            before, began = _peak_bytes(), time.process_time()
            outcome = fed(files, Path(folder))
            measured = {"peak_bytes": _peak_bytes() - before, "seconds": time.process_time() - began}
        print(json.dumps({"name": name, **measured, **outcome}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(HOSTILE))
