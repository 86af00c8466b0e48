"""The Storage SCU (PS3.4 Annex B). Returns what became of each file; raises no network error.

Files are sent as they are where the peer takes that. Another transfer syntax is the same object; another SOP class is a
new one, and only results of ours are ever sent as that.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID, MediaStorageDirectoryStorage
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from service.domain import unparsable
from service.network.dimse import MAX_CONTEXTS, UNPARSABLE
from service.network.peer import DicomNode, NoAssociation, associate
from service.network.renditions import NotConvertible, Rendition, render, renditions, uid_in
from service.network.status import TRANSFER_SYNTAX_NOT_SUPPORTED, in_words, unsupported, verdict_of
from service.network.status import Verdict as Verdict


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """What became of one file. status: of the C-STORE or STOW-RS response, None without one.

    unsupported: the peer does not take this kind of object; it may take the same content as another kind.
    sent_as: SOP class and SOP Instance UID of the object that it was converted into; None: as it is.
    encoded_as: name of the transfer syntax that it was encoded in for sending; empty: the one it is stored in.
    """

    path: Path
    sop_instance_uid: str
    verdict: Verdict
    status: int | None
    message: str
    unsupported: bool = False
    sent_as: tuple[str, str] | None = None
    encoded_as: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A file to send.

    named: its file meta information is complete (PS3.10 7.1), as pynetdicom needs it to send bytes as they are.
    convertible: it is a result of ours, which may be sent as a new object of another SOP class.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    named: bool
    convertible: bool = False

    @property
    def renditions(self) -> Sequence[Rendition]:
        """Ways to send it, the best first."""
        return renditions(self.sop_class_uid, self.transfer_syntax_uid, self.convertible)

    @property
    def contexts(self) -> frozenset[Rendition]:
        """Presentation contexts to propose."""
        return frozenset(self.renditions)

    def outcome(self, verdict: Verdict, message: str, status: int | None = None) -> StoreOutcome:
        refused = verdict is Verdict.PERMANENT and status is not None and unsupported(status)
        return StoreOutcome(self.path, self.sop_instance_uid, verdict, status, message, refused)

    def not_accepted(self) -> StoreOutcome:
        """The peer takes it in none of its renditions."""
        return replace(self.outcome(Verdict.PERMANENT, f"{self.renditions[0].words} is not accepted"), unsupported=True)

    def sent_as(self, rendition: Rendition) -> tuple[str, str] | None:
        """SOP class and SOP Instance UID after the conversion, None where there is none."""
        if rendition.sop_class_uid == self.sop_class_uid:
            return None
        return rendition.sop_class_uid, uid_in(self.sop_instance_uid, rendition.sop_class_uid)

    def encoded_as(self, rendition: Rendition) -> str:
        """The name of the transfer syntax, empty where it is the one that it is stored in."""
        same = rendition.transfer_syntax_uid == self.transfer_syntax_uid
        return "" if same else UID(rendition.transfer_syntax_uid).name


def send(
    destination: DicomNode,
    paths: Sequence[Path],
    progress: Callable[[StoreOutcome], None] = lambda _: None,
    *,
    convertible: bool = False,
) -> list[StoreOutcome]:
    """Store DICOM files at a peer. One outcome per file, in the same order; `progress` gets each when it is known.

    What the peer does not take as it is stored is sent in another rendition that it accepted, if there is one: the same
    object in another transfer syntax. As many associations are used, one after the other, as the presentation contexts
    need.
    convertible: the files are results of ours, which may also be sent as new objects of another SOP class.
    """
    items, unreadable = read_items(paths, convertible)
    outcomes: dict[Path, StoreOutcome] = {}
    for outcome in chain(unreadable, *(_send_batch(destination, batch) for batch in _batches(items))):
        outcomes[outcome.path] = outcome
        progress(outcome)
    return [outcomes[path] for path in paths]


def dicom_files(path: Path) -> list[Path]:
    """The DICOM files (PS3.10) at or below `path`, sorted; a DICOMDIR is none."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return [file for file in files if _is_instance(file)]


def _is_instance(file: Path) -> bool:
    with file.open("rb") as stream:
        if stream.read(132)[128:] != b"DICM":
            return False
    try:
        return bool(read_file_meta_info(file).get("MediaStorageSOPClassUID") != MediaStorageDirectoryStorage)
    except (InvalidDicomError, ValueError, EOFError):
        return False


def read_items(paths: Iterable[Path], convertible: bool) -> tuple[list[Item], list[StoreOutcome]]:
    """Which instance each file is; outcomes of those that cannot be sent at all. convertible: see `Item`."""
    items, outcomes = [], []
    for path in paths:
        try:
            items.append(_read_item(path, convertible))
        except (FileNotFoundError, *unparsable.UNPARSABLE) as error:
            message = f"not a readable DICOM file ({type(error).__name__})"
            outcomes.append(StoreOutcome(path, "", Verdict.PERMANENT, None, message))
        except OSError as error:  # the disk's fault, not the file's
            outcomes.append(StoreOutcome(path, "", Verdict.TRANSIENT, None, f"cannot be read ({error.strerror})"))
    return items, outcomes


def _read_item(path: Path, convertible: bool) -> Item:
    header = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"])
    return Item(
        path,
        str(header.SOPClassUID),
        str(header.SOPInstanceUID),
        str(header.file_meta.TransferSyntaxUID),
        named="MediaStorageSOPClassUID" in header.file_meta and "MediaStorageSOPInstanceUID" in header.file_meta,
        convertible=convertible,
    )


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Items in order, as many together as one association has presentation contexts for."""
    batch: list[Item] = []
    contexts: set[Rendition] = set()
    for item in items:
        if len(contexts | item.contexts) > MAX_CONTEXTS:
            yield batch
            batch, contexts = [], set()
        batch.append(item)
        contexts |= item.contexts
    if batch:
        yield batch


def _send_batch(destination: DicomNode, batch: Sequence[Item]) -> Iterator[StoreOutcome]:
    """All renditions are proposed together, in one association."""
    proposed = sorted(frozenset().union(*(item.contexts for item in batch)), key=lambda one: one.words)
    try:
        association = associate(destination, [build_context(p.sop_class_uid, p.transfer_syntax_uid) for p in proposed])
    except NoAssociation as none:
        none_takes = none.no_context
        yield from (item.not_accepted() if none_takes else item.outcome(Verdict.TRANSIENT, str(none)) for item in batch)
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
    """The outcome in the best rendition that the peer takes.

    A status refuses a SOP class in all its encodings, unless it is about the transfer syntax.
    """
    accepted = {Rendition(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in association.accepted_contexts}
    outcome, refused = item.not_accepted(), set[str]()
    for rendition in item.renditions:
        if rendition not in accepted or rendition.sop_class_uid in refused:
            continue
        try:
            outcome = _store_as(association, item, rendition)
        except NotConvertible:
            continue
        if not outcome.unsupported:
            break
        if outcome.status != TRANSFER_SYNTAX_NOT_SUPPORTED:
            refused.add(rendition.sop_class_uid)
    return outcome


def _store_as(association: Association, item: Item, rendition: Rendition) -> StoreOutcome:
    """A path is sent byte for byte; a dataset is encoded again, in the transfer syntax that was accepted."""
    try:
        as_it_is = rendition == item.renditions[0] and item.named
        status = association.send_c_store(item.path if as_it_is else render(item.path, rendition)).get("Status")
    except NotConvertible:
        raise
    except (OSError, RuntimeError) as error:
        return item.outcome(Verdict.TRANSIENT, f"not sent ({type(error).__name__})")
    except UNPARSABLE as error:
        return item.outcome(Verdict.PERMANENT, f"cannot be sent ({type(error).__name__})")
    if status is None:
        return item.outcome(Verdict.TRANSIENT, "no answer")
    outcome = item.outcome(verdict_of(status), in_words(status), status)
    return replace(outcome, sent_as=item.sent_as(rendition), encoded_as=item.encoded_as(rendition))
