"""Renditions: other encodings of an object, for a peer that does not accept the stored one.

A rendition in another transfer syntax is the same object (PS3.5 10): its attributes and pixels do not change, so it
keeps its UIDs. A rendition in another SOP class is another object: its SOP Instance UID derives from the original's,
which derives from the content, so the same content always gets the same UID, and another one another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

_SIMPLER = {Comprehensive3DSRStorage: (ComprehensiveSRStorage, EnhancedSRStorage)}
"""SOP classes that may hold the content of another one, the richest first (PS3.3 A.35)."""

_SYNTAXES = {
    ExplicitVRLittleEndian: (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
    RLELossless: (RLELossless, ExplicitVRLittleEndian, ImplicitVRLittleEndian),
}
"""Transfer syntaxes to send an object in, in this order. The last is the one that every SCP knows (PS3.5 10.1)."""


_NAMES = {"1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage"}
"""SOP classes that pydicom 3.0 has no name for."""


def class_name(sop_class_uid: str) -> str:
    """A SOP class for people."""
    return _NAMES.get(sop_class_uid) or UID(sop_class_uid).name


@dataclass(frozen=True, slots=True)
class Rendition:
    """One way to send an object."""

    sop_class_uid: str
    transfer_syntax_uid: str

    @property
    def words(self) -> str:
        return f"{class_name(self.sop_class_uid)} in {UID(self.transfer_syntax_uid).name}"


class NotConvertible(ValueError):
    """The content does not fit into this SOP class."""


def renditions(sop_class_uid: str, transfer_syntax_uid: str, convertible: bool) -> Sequence[Rendition]:
    """Ways to send an object, the best first; the first is the object as it is stored.

    convertible: it may be sent as a new object of another SOP class. Only whoever made it may do that.
    """
    syntaxes = _SYNTAXES.get(UID(transfer_syntax_uid), (transfer_syntax_uid,))
    classes = (sop_class_uid, *(_SIMPLER.get(UID(sop_class_uid), ()) if convertible else ()))
    return [Rendition(str(one), str(syntax)) for one in classes for syntax in syntaxes]


def render(path: Path, rendition: Rendition) -> Dataset:
    """The object in another SOP class or transfer syntax, decompressed if need be; NotConvertible if it does not fit.

    The same file gives the same dataset. Explicit and Implicit VR are the encoder's matter.
    """
    dataset = dcmread(path)
    if dataset.SOPClassUID != rendition.sop_class_uid:
        _change_class(dataset, rendition.sop_class_uid)
    own, wanted = UID(dataset.file_meta.TransferSyntaxUID), UID(rendition.transfer_syntax_uid)
    if own.is_compressed and own != wanted:
        dataset.decompress(as_rgb=False, generate_instance_uid=False)
    return dataset


def rendered_bytes(path: Path, rendition: Rendition) -> bytes:
    """The object as a file, as `render` makes it."""
    dataset = render(path, rendition)
    dataset.file_meta.TransferSyntaxUID = UID(rendition.transfer_syntax_uid)
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def uid_in(sop_instance_uid: str, sop_class_uid: str) -> str:
    """The SOP Instance UID of an object after its conversion into another SOP class."""
    return str(generate_uid(entropy_srcs=["sop class", sop_instance_uid, sop_class_uid]))


def _change_class(dataset: Dataset, sop_class_uid: str) -> None:
    """Documents of the same class that it refers to are ours: where it is converted, they are too."""
    original = dataset.SOPClassUID
    for item in _items(dataset):
        if item.get("ValueType") == "SCOORD3D" or "ReferencedContentItemIdentifier" in item:
            raise NotConvertible(f"the content does not fit into {UID(sop_class_uid).name}")
        if item.get("ReferencedSOPClassUID") == original:
            item.ReferencedSOPClassUID = UID(sop_class_uid)
            item.ReferencedSOPInstanceUID = UID(uid_in(item.ReferencedSOPInstanceUID, sop_class_uid))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    dataset.SOPInstanceUID = UID(uid_in(dataset.SOPInstanceUID, sop_class_uid))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID


def _items(dataset: Dataset) -> Iterator[Dataset]:
    """The dataset and all items in it, at any depth."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _items(item)
