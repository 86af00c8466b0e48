"""The Storage SCU (PS3.4 Annex B). Sends files as they are; says of each what became of it; raises no network error."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MediaStorageDirectoryStorage
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from service.network.dimse import MAX_CONTEXTS
from service.network.peer import DicomNode, associate, why_not


class Verdict(StrEnum):
    """Is it there, may it get there later, or never?"""

    STORED = "stored"
    TRANSIENT = "transient"
    PERMANENT = "permanent"


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """What became of one file. status: of the C-STORE or STOW-RS response, None without one."""

    path: Path
    sop_instance_uid: str
    verdict: Verdict
    status: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Item:
    """A file to send.

    named: its file meta information is complete (PS3.10 7.1), as pynetdicom needs it to send bytes as they are.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    named: bool

    @property
    def contexts(self) -> frozenset[tuple[str, str]]:
        """SOP class and transfer syntax to propose: its own, and the default one every SCP knows (PS3.5 10.1)."""
        syntaxes = {self.transfer_syntax_uid}
        if self.transfer_syntax_uid == ExplicitVRLittleEndian:
            syntaxes.add(ImplicitVRLittleEndian)
        return frozenset((self.sop_class_uid, syntax) for syntax in syntaxes)

    def outcome(self, verdict: Verdict, message: str, status: int | None = None) -> StoreOutcome:
        return StoreOutcome(self.path, self.sop_instance_uid, verdict, status, message)


def send(
    destination: DicomNode, paths: Sequence[Path], progress: Callable[[StoreOutcome], None] = lambda _: None
) -> list[StoreOutcome]:
    """Store DICOM files at a peer. One outcome per file, in the same order; `progress` gets each when it is known.

    Uses as many associations, one after the other, as the presentation contexts need.
    """
    items, unreadable = read_items(paths)
    outcomes: dict[Path, StoreOutcome] = {}
    for outcome in chain(unreadable, *(_send_batch(destination, batch) for batch in _batches(items))):
        outcomes[outcome.path] = outcome
        progress(outcome)
    return [outcomes[path] for path in paths]


def dicom_files(path: Path) -> list[Path]:
    """The DICOM files (PS3.10) at or below `path`, sorted; a DICOMDIR is none."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return [file for file in files if _is_instance(file)]


def verdict_of(status: int) -> Verdict:
    """What a C-STORE status means for us (PS3.4 B.2.3, PS3.7 C).

    0x0111, a duplicate SOP Instance UID, is a success: an earlier attempt brought it there, its answer was lost.
    """
    if status in (0x0000, 0x0111) or status >> 12 == 0xB:
        return Verdict.STORED
    if status >> 8 == 0xA7 or status in (0x0110, 0x0210, 0x0213):  # out of resources, processing failure
        return Verdict.TRANSIENT
    return Verdict.PERMANENT


def _is_instance(file: Path) -> bool:
    with file.open("rb") as stream:
        if stream.read(132)[128:] != b"DICM":
            return False
    try:
        return bool(read_file_meta_info(file).get("MediaStorageSOPClassUID") != MediaStorageDirectoryStorage)
    except (InvalidDicomError, ValueError, EOFError):
        return False


def read_items(paths: Iterable[Path]) -> tuple[list[Item], list[StoreOutcome]]:
    """Which instance each file is; outcomes of those that cannot be sent at all."""
    items, outcomes = [], []
    for path in paths:
        try:
            items.append(_read_item(path))
        except (FileNotFoundError, EOFError, InvalidDicomError, AttributeError, ValueError) as error:
            message = f"not a readable DICOM file ({type(error).__name__})"
            outcomes.append(StoreOutcome(path, "", Verdict.PERMANENT, None, message))
        except OSError as error:  # the disk's fault, not the file's
            outcomes.append(StoreOutcome(path, "", Verdict.TRANSIENT, None, f"cannot be read ({error.strerror})"))
    return items, outcomes


def _read_item(path: Path) -> Item:
    header = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"])
    return Item(
        path,
        str(header.SOPClassUID),
        str(header.SOPInstanceUID),
        str(header.file_meta.TransferSyntaxUID),
        named="MediaStorageSOPClassUID" in header.file_meta and "MediaStorageSOPInstanceUID" in header.file_meta,
    )


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Items in order, as many together as one association has presentation contexts for."""
    batch: list[Item] = []
    contexts: set[tuple[str, str]] = set()
    for item in items:
        if len(contexts | item.contexts) > MAX_CONTEXTS:
            yield batch
            batch, contexts = [], set()
        batch.append(item)
        contexts |= item.contexts
    if batch:
        yield batch


def _send_batch(destination: DicomNode, batch: Sequence[Item]) -> Iterator[StoreOutcome]:
    contexts = [build_context(*pair) for pair in sorted(frozenset().union(*(item.contexts for item in batch)))]
    association = associate(destination, contexts)
    if not association.is_established:
        why = why_not(association)  # once: it may take as long as the connection did
        yield from (item.outcome(Verdict.TRANSIENT, why) for item in batch)
        return
    ended = False
    for item in batch:
        outcome = item.outcome(Verdict.TRANSIENT, "the association has ended") if ended else _store(association, item)
        yield outcome
        ended = outcome.verdict is Verdict.TRANSIENT and outcome.status is None
    if ended:
        association.abort()
    else:
        association.release()


def _store(association: Association, item: Item) -> StoreOutcome:
    accepted = {(c.abstract_syntax, c.transfer_syntax[0]) for c in association.accepted_contexts}
    own = (item.sop_class_uid, item.transfer_syntax_uid)
    if not accepted & item.contexts:
        message = f"{UID(own[0]).name} in {UID(own[1]).name} is not accepted"
        return item.outcome(Verdict.PERMANENT, message)
    try:
        # A path is sent byte for byte; a dataset is encoded again, in the transfer syntax that was accepted.
        as_it_is = own in accepted and item.named
        status = association.send_c_store(item.path if as_it_is else dcmread(item.path)).get("Status")
    except (OSError, RuntimeError) as error:
        return item.outcome(Verdict.TRANSIENT, f"not sent ({type(error).__name__})")
    except (ValueError, AttributeError) as error:
        return item.outcome(Verdict.PERMANENT, f"cannot be sent ({type(error).__name__})")
    if status is None:
        return item.outcome(Verdict.TRANSIENT, "no answer")
    return item.outcome(verdict_of(status), f"status 0x{status:04X}", status)
