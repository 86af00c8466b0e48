"""DICOM files (PS3.10) read within limits: what is inflated, parsed and kept follows from what a chest CT can be.

    beginning   a few elements that tell which instance it is: no more than a megabyte is inflated
    header      everything before the pixels, without long private elements and bulk data
    whole       header and pixels: as many bytes as the header says that the pixels have

A file beyond a limit is refused by name (TOO_LARGE) before it takes the memory. Files are open for reading at their
start; for what makes no dataset pydicom raises one of `UNPARSABLE`, or an OSError without an errno.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any, BinaryIO, cast

from pydicom import Dataset, FileDataset, FileMetaDataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filereader import read_dataset, read_partial, read_preamble
from pydicom.tag import BaseTag, Tag

from service.domain.eligibility import Limits
from service.domain.inflating import Inflating
from service.domain.metered import AskedForAll, Metered
from service.domain.unparsable import UNPARSABLE
from service.errors import Reason, Refusal, Rejected

MOST_BEGINNING_BYTES = 2**20
"""Inflated bytes in which the elements lie that tell which instance it is: scanners write them first."""

MOST_HEADER_BYTES = 2**24
"""Bytes of one header, kept or inflated: 8 kB for each of 2,000 frames of an Enhanced CT, which have less than two."""

MOST_SEQUENCES_BYTES = 2**29
"""Memory of the long sequences of one header, once they are looked at."""

MOST_PIXEL_BYTES = 4 * Limits().max_voxels
"""Bytes of the pixels of one object: the largest CT, with 32 bits a voxel."""

MOST_READS = 600_000
"""Times that pydicom reads while it parses a header, two or three for each element or item: up to 300 MB of memory.

An Enhanced CT of 1,900 frames takes about 400,000, if its sequences are written without a length.
"""

MOST_READS_OF_BEGINNING = 100_000
"""The same up to the elements that tell which instance it is: 50 MB. A receiver does that for many peers at once."""

_LONGEST_KEPT = 1024
"""Bytes of a private element or of bulk data that a header keeps; nobody here reads one."""

_COMPRESSED = 2
"""An encoder that finds no pattern may need more bytes than the pixels have, never twice as many."""

_ELEMENT_BYTES, _ITEM_BYTES, _TIMES_ITS_BYTES = 300, 700, 40
"""Memory that Python takes for an element and for an item, beside the values; eight bytes may be one of either."""

_ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
_PIXEL_GROUP = 0x7FE0
_FRAMES = frozenset((0x52009229, 0x52009230))
"""Shared and Per-Frame Functional Groups Sequence (PS3.3 C.7.6.16), which are looked at in every header."""

_PIECE = 2**16
_UNDEFINED = 0xFFFFFFFF
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
"""Float, Double Float and integer Pixel Data (PS3.3 C.7.6.3, C.7.6.24)."""

Stop = Callable[[BaseTag, str | None, int], bool]


def beginning(file: BinaryIO, keywords: Sequence[str], to_pixels: bool = False) -> FileDataset:
    """Some elements from the beginning of a file; what a deflated dataset holds behind its first megabyte is absent.

    to_pixels: a dataset that is not deflated is parsed up to its pixels, so that a damaged header is noticed.
    """
    sought = [Tag(keyword) for keyword in keywords]
    most_reads = MOST_READS if to_pixels else MOST_READS_OF_BEGINNING
    opened = _Opened(file, MOST_HEADER_BYTES, most_reads, MOST_BEGINNING_BYTES)
    return opened.parse(_is_pixels if to_pixels else _behind(sought), None, sought, _behind(sought))


def header(file: BinaryIO) -> FileDataset:
    """Everything before the pixels, without private elements and bulk data longer than `_LONGEST_KEPT` bytes."""
    return _header(_Opened(file, MOST_HEADER_BYTES, MOST_READS))


def whole(file: BinaryIO) -> FileDataset:
    """The header and the pixels."""
    opened = _Opened(file, MOST_HEADER_BYTES, MOST_READS)
    found = _header(opened)
    opened.go_on(MOST_HEADER_BYTES + _COMPRESSED * min(_pixel_bytes(found), MOST_PIXEL_BYTES), MOST_READS)
    implicit, little = _encoding(found)
    with opened.named() as source:
        # As if in a sequence: at the top level pydicom would take some lengths for the letters of an explicit VR.
        pixels = read_dataset(source, implicit, little, stop_when=_is_after_pixels, at_top_level=False)
    opened.finish()
    found.update({element.tag: element for element in pixels.elements() if element.tag.group == _PIXEL_GROUP})
    return found


def _encoding(dataset: Dataset) -> tuple[bool, bool]:
    """Whether its VR is implicit, and little endian its order: as pydicom found it, which some files' meta denies."""
    for tag in dataset.keys():  # noqa: SIM118  (iterating a Dataset gives elements, not tags)
        element = dataset.get_item(tag, keep_deferred=True)
        if isinstance(element, RawDataElement):
            return element.is_implicit_VR, element.is_little_endian
    implicit, little = dataset.original_encoding
    return bool(implicit), bool(little)


def memory_bytes(dataset: Dataset) -> int:
    """About the memory that a header takes while it is checked."""
    meta = getattr(dataset, "file_meta", None)
    own = sum(_ELEMENT_BYTES + _value_bytes(element) for element in dataset.elements())
    return own if meta is None else own + memory_bytes(meta)


class _Opened:
    """A file that is parsed once, whatever its transfer syntax."""

    def __init__(self, file: BinaryIO, most_bytes: int, most_reads: int, cut_at: int | None = None) -> None:
        """most_bytes: that are read or inflated. cut_at: of a deflated dataset only so many bytes are seen."""
        self._file = file
        self._limits = most_bytes, most_reads
        self._cut_at = cut_at
        self._inflating: Inflating | None = None
        self._source = Metered(file, most_bytes, most_reads)

    def parse(
        self, stop: Stop, longest: int | None, only: Sequence[BaseTag] = (), stop_inflating: Stop | None = None
    ) -> FileDataset:
        """The dataset up to an element. longest: longer values are None. stop_inflating: in place of `stop`."""
        tags: list[Any] | None = list(only) or None
        try:
            with self.named() as source:
                plain = read_partial(source, stop, longest, specific_tags=tags)
            return self._named_after_file(plain, plain.preamble, plain.file_meta)
        except AskedForAll:  # pydicom takes it for deflated
            preamble, meta = self._inflate()
        with self.named() as source:
            found = read_dataset(source, False, True, None, stop_inflating or stop, longest, specific_tags=tags)
        return self._named_after_file(found, preamble, meta)

    def _inflate(self) -> tuple[bytes | None, FileMetaDataset]:
        """The preamble and the meta information, which are not deflated (PS3.10 7.1); the rest is, from now on."""
        self._file.seek(0)
        self._source.allow(*self._limits)
        with self.named() as source:
            preamble = read_preamble(source, False)
            meta = FileMetaDataset(read_dataset(source, False, True, stop_when=_is_after_meta))
        most_bytes, most_reads = self._limits
        self._inflating = Inflating(self._file, self._cut_at or most_bytes, cut=self._cut_at is not None)
        self._source = Metered(self._inflating, most_bytes, most_reads)
        return preamble, meta

    def _named_after_file(self, found: Dataset, preamble: bytes | None, meta: FileMetaDataset) -> FileDataset:
        """The dataset as of its file, not of what it was read through: that would stay in memory as long as it."""
        implicit, little = found.original_encoding
        name: Any = getattr(self._file, "name", None) or BytesIO()
        dataset = FileDataset(name, found, preamble, meta, bool(implicit), bool(little))
        dataset.set_original_encoding(implicit, little, found.original_character_set)
        return dataset

    def value(self, element: RawDataElement) -> bytes:
        """The value of an element that `parse` has left out; EOFError if the file ends before it does."""
        with self.named() as source:
            here = source.tell()
            source.seek(element.value_tell)
            found = source.read(element.length)
            source.seek(here)
        if len(found) < element.length:
            raise EOFError("an element is longer than the file")
        return found

    def go_on(self, most_bytes: int, most_reads: int) -> None:
        """Allow so many bytes and reads from here."""
        self._source.allow(most_bytes, most_reads)
        if self._inflating is not None:
            self._inflating.most = self._inflating.tell() + most_bytes

    def finish(self) -> None:
        """Inflate the rest, if it is deflated: zlib.error where the stream is broken or cut off behind the pixels."""
        with self.named() as source:
            while self._inflating is not None and source.read(_PIECE):
                pass

    @contextmanager
    def named(self) -> Iterator[BinaryIO]:
        """What pydicom reads from; Rejected in place of whatever it makes of a limit that is reached."""
        try:
            yield cast(BinaryIO, self._source)
        except (*UNPARSABLE, OSError) as error:
            if (trouble := self._source.trouble) is None:
                raise
            raise Rejected(Refusal(Reason.TOO_LARGE, f"A file is not read: {trouble}.")) from error


def _header(opened: _Opened) -> FileDataset:
    found = opened.parse(_is_pixels, _LONGEST_KEPT)
    sequences = 0
    for tag in list(found.keys()):
        element = found.get_item(tag, keep_deferred=True)
        if isinstance(element, RawDataElement) and element.value is None and element.length > _LONGEST_KEPT:
            if _is_left_out(element):
                del found[element.tag]
            else:
                found[element.tag] = element._replace(value=opened.value(element))
                sequences += _sequence_bytes(found.get_item(tag).value) if _vr(element) == "SQ" else 0
    if sequences > MOST_SEQUENCES_BYTES:
        raise Rejected(Refusal(Reason.TOO_LARGE, "A file is not read: its sequences are longer than those of any CT."))
    return found


def _is_left_out(element: RawDataElement) -> bool:
    """Whether it is private, or bulk data: the VR of others (O.) or unknown (UN)."""
    if element.tag.group == _PIXEL_GROUP:  # tables that tell where the pixels lie
        return False
    return element.tag.is_private or element.length == _UNDEFINED or _vr(element).startswith(("O", "UN"))


def _vr(element: RawDataElement) -> str:
    """As written, or by the dictionary; UN where neither tells."""
    if element.VR in (None, "UN") and dictionary_has_tag(element.tag):
        return dictionary_VR(element.tag)
    return element.VR or "UN"


def _sequence_bytes(value: bytes) -> int:
    """The most memory that a sequence takes once all of it is looked at."""
    return _TIMES_ITS_BYTES * len(value) + _ITEM_BYTES * sum(map(value.count, _ITEM_TAGS))


def _pixel_bytes(dataset: Dataset) -> int:
    """Bytes of the pixels as the header claims them; 0 where it does not tell."""
    try:
        sides = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("NumberOfFrames") or 1)
        return max(0, sides * int(dataset.get("SamplesPerPixel") or 1) * int(dataset.BitsAllocated) // 8)
    except UNPARSABLE:
        return 0


def _behind(sought: Sequence[BaseTag]) -> Stop:
    """Stops at the pixels, or behind all elements that are sought once every UID among them was seen."""
    missing = {tag for tag in sought if dictionary_VR(tag) == "UI"}

    def stop(tag: BaseTag, vr: str | None, length: int) -> bool:
        missing.discard(tag)
        return tag in _PIXELS or (tag > max(sought) and not missing)

    return stop


def _is_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag in _PIXELS


def _is_after_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
    return bool(tag > max(_PIXELS))


def _is_after_meta(tag: BaseTag, vr: str | None, length: int) -> bool:
    return bool(tag.group != 2)


def _value_bytes(element: DataElement | RawDataElement) -> int:
    if isinstance(element, DataElement) and element.VR == "SQ":
        return sum(_ITEM_BYTES + memory_bytes(item) for item in element.value)
    if not isinstance(element.value, bytes):
        return 0
    return _sequence_bytes(element.value) if element.tag in _FRAMES else len(element.value)
