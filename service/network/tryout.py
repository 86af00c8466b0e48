"""Checks that a peer would do what it is configured for, without sending it anything that it would keep."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.uid import generate_uid
from pynetdicom.presentation import build_context

from service.domain.commitment import Reference
from service.network.commitment import request
from service.network.dimse import STORAGE_COMMITMENT, STUDY_ROOT_FIND, asked
from service.network.peer import DicomNode, NoAssociation, accepted
from service.network.renditions import Rendition, class_name, renditions

_NO_QUERY = "takes no C-FIND: nothing can be confirmed; let it, or set `confirm: none`"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, in words."""

    ok: bool
    message: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Something that a peer is to store. product: its name in the settings.

    encodings: SOP class and transfer syntax as it is stored, the preferred one first; one that is taken is enough.
    """

    product: str
    encodings: Sequence[tuple[str, str]]

    @property
    def ways(self) -> list[Rendition]:
        """All ways to send it, the best first."""
        return [one for encoding in self.encodings for one in renditions(*encoding, convertible=True)]


def try_storage(node: DicomNode, wanted: Sequence[Wanted]) -> Finding:
    """Negotiate storage of everything that the peer is to get; nothing is stored."""
    ways = dict.fromkeys(way for one in wanted for way in one.ways)
    try:
        taken = accepted(node, [build_context(way.sop_class_uid, way.transfer_syntax_uid) for way in ways])
    except NoAssociation as none:
        return Finding(False, str(none))
    best = {
        one: next((w for w in one.ways if (w.sop_class_uid, w.transfer_syntax_uid) in taken), None) for one in wanted
    }
    refused = [_refused(one) for one, way in best.items() if way is None]
    if refused:
        return Finding(False, "; ".join(refused))
    names = dict.fromkeys(class_name(way.sop_class_uid) for way in best.values() if way)
    instead = [_instead(one, way) for one, way in best.items() if way and way.sop_class_uid != one.encodings[0][0]]
    return Finding(True, "; ".join([f"takes {', '.join(names)}", *instead]))


def try_confirmation(node: DicomNode, commitment: bool) -> Finding:
    """Ask for a commitment of an object that nobody has, if wanted, and negotiate C-FIND."""
    try:
        taken = {uid for uid, _ in accepted(node, [asked(STUDY_ROOT_FIND), asked(STORAGE_COMMITMENT)])}
    except NoAssociation as none:
        return Finding(False, str(none))
    finds = STUDY_ROOT_FIND in taken
    if not commitment:
        return Finding(finds, "answers C-FIND" if finds else _NO_QUERY)
    nobodys = Reference("1.2.840.10008.5.1.4.1.1.66.4", str(generate_uid()))
    answer = request(node, str(generate_uid()), [nobodys], listen_s=0.5)
    if answer.accepted:
        return Finding(True, "takes requests for storage commitment")
    if finds:
        return Finding(True, f"gives no storage commitment ({answer.message}): C-FIND decides what it has")
    return Finding(
        False,
        f"gives no storage commitment ({answer.message}) and takes no C-FIND: nothing can be confirmed; let it do one "
        "of these, or set `confirm: none`",
    )


def try_queries(node: DicomNode) -> Finding:
    """Negotiate C-FIND, by which a sender is asked how many images it has."""
    try:
        taken = accepted(node, [asked(STUDY_ROOT_FIND)])
    except NoAssociation as none:
        return Finding(False, f"{none}; its studies are analysed without asking how many images it has")
    return Finding(
        bool(taken), "answers C-FIND" if taken else "takes no C-FIND: let it, or leave `host` and `port` out"
    )


def _refused(wanted: Wanted) -> str:
    names = " or ".join(dict.fromkeys(class_name(way.sop_class_uid) for way in wanted.ways))
    return f"does not take {names}: let it, or leave {wanted.product} out"


def _instead(wanted: Wanted, way: Rendition) -> str:
    return f"no {class_name(wanted.encodings[0][0])}: {class_name(way.sop_class_uid)} is sent instead"
