"""Ways to spoil the files of a CT: its attributes, by what DICOM means by them, and its bytes."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from struct import pack

from helpers import enhanced_ct, hostile_files, make_ct
from helpers.odd_attributes import KEYWORDS, SPOILT, written
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from service.domain.unparsable import UNPARSABLE
from tests.fuzz import ROOT, spoil_bytes
from tests.fuzz.spoil_bytes import LENGTHS

_META = 132
"""Bytes before the file meta information."""

_TEXTS = tuple(
    text.encode()
    for text in (
        "NaN", "inf", "-inf", "1e308", "-1e308", "1e-320", "0", "-0", "-1", "9" * 16, "4294967296", "1.8e309",
        "0x10", "1,5", "1 2", "١٢", "1\\2\\3\\4\\5\\6", "\\", "\\\\\\", "1\\NaN", "00000000", "99999999", "20241301",
        "246060.999999", "1.2.3..4", "1." + "2" * 70, "\x1b$B", "\x7f", "{}%s%n", "A^B=C^D=E", "ISO 2022 IR 87",
    )
)  # fmt: skip
_NUMBERS = tuple(bytes.fromhex(text) for text in ("00000000", "ffffffff", "00008000", "0000f87f", "000000000000f87f"))
_CHARSET = 0x00080005
"""Another one makes pydicom rewrite all text; `character_sets` changes it."""

_VRS = (
    "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FL", "FD", "IS", "LO", "LT", "OB", "OD", "OF", "OW", "PN", "SH", "SL",
    "SS", "ST", "SV", "TM", "UC", "UI", "UL", "UN", "UR", "US", "UT", "UV",
)  # fmt: skip
_ELEMENT = re.compile(b"(?s:....)(?:" + "|".join((*_VRS, "SQ")).encode() + b")")
_CHARSETS = (b"", b"ISO_IR 192", b"ISO_IR 999", b"ISO 2022 IR 87", b"\\ISO 2022 IR 58", b"GB18030", b"NONE\\NONE")
SYNTAXES = (
    *(ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian),
    *(RLELossless, JPEGLSLossless, JPEG2000Lossless),
)
"""Transfer syntaxes in which a sound series is written before it is spoilt."""


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A series of which some files are spoilt. spoilt: their numbers."""

    words: str
    files: tuple[bytes, ...]
    spoilt: tuple[int, ...]


def spoilt(chance: Random) -> Spoilt:
    """A series: a phantom in any transfer syntax, a multi-frame phantom, or slices of a real CT."""
    name = chance.choice((*(syntax.keyword for syntax in SYNTAXES), "enhanced", "real", "real"))
    files = list(_sound(name))
    numbers = list(range(len(files)))
    which = sorted(chance.choice((chance.sample(numbers, 1), chance.sample(numbers, 1), numbers)))
    way = chance.choice(_BY_ATTRIBUTES if chance.random() < 0.6 else _BY_BYTES)
    seed = chance.random()
    for number in which:
        files[number] = _spoil(files[number], way, seed) or files[number][:_META]
    which_words = "all" if len(which) == len(files) > 1 else "one"
    return Spoilt(f"{name}, {which_words}: {way.__name__}", tuple(files), tuple(which))


def _spoil(file: bytes, way: "Way", seed: float) -> bytes:
    """The file spoilt in this way, or in its bytes where pydicom does not write what was asked for."""
    try:
        return way(file, Random(seed))
    except UNPARSABLE:
        return header_bytes(file, Random(seed))


def start_of_dataset(file: bytes) -> int:
    """Where the dataset begins in a file with sound meta information (PS3.10 7.1), with or without its length."""
    at = _META
    while file[at : at + 2] == b"\x02\0":
        long = file[at + 4 : at + 6] == b"OB"
        at += (
            12 + int.from_bytes(file[at + 8 : at + 12], "little")
            if long
            else 8 + int.from_bytes(file[at + 6 : at + 8], "little")
        )
    return at


@cache
def _sound(name: str) -> tuple[bytes, ...]:
    if name == "real":
        paths = sorted((ROOT / "demo" / "ct").glob("*.dcm"))
        positions = {path: float(dcmread(path, stop_before_pixels=True).ImagePositionPatient[2]) for path in paths}
        middle = sorted(paths, key=positions.__getitem__)[len(paths) // 2 :]
        return tuple(map(Path.read_bytes, middle[: hostile_files.SLICES]))
    datasets = hostile_files.datasets()
    if name == "enhanced":
        return (_file(enhanced_ct.enhance(datasets)),)
    syntax = next(syntax for syntax in SYNTAXES if syntax.keyword == name)
    return tuple(_in_syntax(dataset, syntax) for dataset in datasets)


def _read(file: bytes) -> Dataset:
    return dcmread(BytesIO(file))


def _file(dataset: Dataset) -> bytes:
    dataset.preamble = bytes(128)
    return written(dataset)


def _in_syntax(dataset: Dataset, syntax: UID) -> bytes:
    if syntax.is_encapsulated:
        make_ct.compress([dataset], syntax)
        return _file(dataset)
    if not syntax.is_little_endian:
        dataset.PixelData = b"".join(dataset.PixelData[k : k + 2][::-1] for k in range(0, len(dataset.PixelData), 2))
    dataset.file_meta.TransferSyntaxUID, dataset.preamble = syntax, bytes(128)
    with BytesIO() as buffer:
        dataset.save_as(buffer, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
        return buffer.getvalue()


def _set(dataset: Dataset, tag: int, vr: str, value: bytes) -> None:
    """An element as it would have been read, whatever it holds."""
    dataset._dict.pop(Tag(tag), None)
    dataset._dict[Tag(tag)] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)


def _tags(dataset: Dataset, chance: Random) -> list[int]:
    """A few attributes: those that are read, and any that are there."""
    there = [int(tag) for tag in dataset.keys() if tag != 0x7FE00010]  # noqa: SIM118
    known = [tag_for_keyword(keyword) or 0 for keyword in KEYWORDS]
    chosen = [chance.choice(chance.choice((there, known))) for _ in range(chance.choice((1, 1, 2, 5)))]
    return [tag for tag in chosen if tag != _CHARSET]


def _vr(tag: int) -> str:
    try:
        return dictionary_VR(tag).split()[0]
    except KeyError:
        return "UN"


def missing_attributes(file: bytes, chance: Random) -> bytes:
    dataset = _read(file)
    for tag in _tags(dataset, chance):
        dataset._dict.pop(Tag(tag), None)
    return written(dataset)


def odd_attributes(file: bytes, chance: Random) -> bytes:
    """Attributes spoilt as senders are known to spoil them."""
    dataset = _read(file)
    for tag in _tags(dataset, chance):
        _set(dataset, tag, *SPOILT[chance.choice(tuple(SPOILT))](_vr(tag)))
    return written(dataset)


def other_values(file: bytes, chance: Random) -> bytes:
    """Text that is no number, numbers without end, too many values."""
    dataset = _read(file)
    for tag in _tags(dataset, chance):
        vr = _vr(tag)
        value = chance.choice(_NUMBERS) if vr in ("US", "SS", "UL", "SL", "FD", "FL") else chance.choice(_TEXTS)
        _set(dataset, tag, vr, value * chance.choice((1, 1, 1, 3, 40)))
    return written(dataset)


def other_representations(file: bytes, chance: Random) -> bytes:
    dataset = _read(file)
    for tag in _tags(dataset, chance):
        old = dataset._dict.get(Tag(tag))
        value = old.value if isinstance(old, RawDataElement) and isinstance(old.value, bytes) else b"1.5 "
        _set(dataset, tag, chance.choice(_VRS), value)
    return written(dataset)


def nested_copies(file: bytes, chance: Random) -> bytes:
    """Sequences of sequences, each with the attributes of a slice."""
    dataset = _read(file)
    del dataset.PixelData
    content = written(dataset)[start_of_dataset(file) :]
    for _ in range(chance.choice((1, 3, 30))):
        item = b"\xfe\xff\x00\xe0" + pack("<L", len(content[-4000:])) + content[-4000:]
        content = item if chance.random() < 0.2 else b"\x08\x00\x40\x11SQ\0\0" + pack("<L", len(item)) + item
    at = start_of_dataset(file)
    return file[:at] + content + file[at:]


def private_blocks(file: bytes, chance: Random) -> bytes:
    dataset = _read(file)
    for _ in range(chance.choice((1, 10, 300))):
        tag = 0x00090010 + 0x20000 * chance.randrange(8) + chance.randrange(0xFFEF)
        _set(dataset, tag, chance.choice(("LO", "UN", "OB", "DS")), chance.choice((b"", b"X ", b"\0" * 500, *_TEXTS)))
    return written(dataset)


def character_sets(file: bytes, chance: Random) -> bytes:
    dataset = _read(file)
    for tag in (0x00100010, 0x00081030, 0x0008103E, 0x00080080):
        _set(dataset, tag, _vr(tag), chance.randbytes(chance.choice((1, 16, 64))))
    return written(dataset).replace(b"ISO_IR 100", chance.choice(_CHARSETS).ljust(10)[:10], 1)


def pixel_description(file: bytes, chance: Random) -> bytes:
    """Rows, Columns, bits, frames and samples that do not fit the pixels."""
    dataset = _read(file)
    for keyword in chance.sample(("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel"), 2):
        _set(dataset, tag_for_keyword(keyword) or 0, "US", pack("<H", chance.choice((0, 1, 7, 8, 12, 32, 64, 0xFFFF))))
    if chance.random() < 0.3:
        _set(dataset, 0x00280008, "IS", chance.choice((b"0", b"-1", b"2 ", b"999999999", b"x ")))
    return written(dataset)


def pixel_bytes(file: bytes, chance: Random) -> bytes:
    """A spoilt code stream, or pixels of another length."""
    at = file.rfind(b"\xe0\x7f\x10\x00") + 12
    return file[:at] + chance.choice(spoil_bytes.ANYWHERE)(file[at:], chance) if at > 11 else flipped(file, chance)


def flipped(file: bytes, chance: Random) -> bytes:
    at = start_of_dataset(file)
    return file[:at] + spoil_bytes.flip(file[at:], chance)


def header_bytes(file: bytes, chance: Random) -> bytes:
    """Bytes of the first two kilobytes of the dataset, where most attributes are."""
    at = start_of_dataset(file)
    return file[:at] + chance.choice(spoil_bytes.ANYWHERE)(file[at : at + 2000], chance) + file[at + 2000 :]


def any_bytes(file: bytes, chance: Random) -> bytes:
    at = start_of_dataset(file)
    return file[:at] + chance.choice(spoil_bytes.ANYWHERE)(file[at:], chance)


def lengths_that_lie(file: bytes, chance: Random) -> bytes:
    """The length of an element with explicit value representation."""
    at = start_of_dataset(file)
    places = [match.start() for match in _ELEMENT.finditer(file, at, at + 6000)]
    if not places:
        return header_bytes(file, chance)
    place = chance.choice(places) + 6
    return file[:place] + pack("<H", chance.choice(LENGTHS) & 0xFFFF) + file[place + 2 :]


def meta_information(file: bytes, chance: Random) -> bytes:
    """What the receiver writes itself, and a folder of files may have spoilt."""
    end = start_of_dataset(file)
    return file[:_META] + chance.choice(spoil_bytes.ANYWHERE)(file[_META:end], chance) + file[end:]


def spliced(file: bytes, chance: Random) -> bytes:
    return spoil_bytes.spliced(file, chance.choice(_sound(chance.choice(SYNTAXES).keyword)), chance)


Way = Callable[[bytes, Random], bytes]

_BY_ATTRIBUTES: Sequence[Way] = (
    *(missing_attributes, odd_attributes, odd_attributes, other_values, other_values, other_representations),
    *(nested_copies, private_blocks, character_sets, pixel_description),
)
_BY_BYTES: Sequence[Way] = (pixel_bytes, flipped, header_bytes, any_bytes, lengths_that_lie, meta_information, spliced)
