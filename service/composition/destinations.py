"""Builds the destinations that a worker delivers to, from the settings."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial

from pydantic import SecretStr
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    ParametricMapStorage,
    RLELossless,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from service.domain.audit_event import Participant
from service.domain.delivery import Confirm
from service.domain.retry import RetryPolicy
from service.domain.routing import Rule
from service.evidence.context import (
    AXES,
    CAPTURE,
    HEAT_MAP,
    MEASUREMENTS,
    NEEDED,
    NOTICES,
    REPORT_DICOM,
    SEG,
    STRUCTURE_SET,
    STUDY,
    TEXT,
    SegKind,
    Selection,
    Style,
)
from service.network import stow, web
from service.network.commitment import request
from service.network.find import find_instances
from service.network.peer import DicomNode, echo
from service.network.send import send
from service.network.tryout import Finding, Wanted, try_confirmation, try_storage
from service.settings import AnyDestination, DicomDestination, WebDestination, tls_files
from service.worker.destination import Ask, Find, Send, Target

_KINDS = {
    "seg": (SEG,),
    "sr": (MEASUREMENTS.kind, AXES.kind, STUDY.kind),
    "pdf": (REPORT_DICOM.kind,),
    "capture": (CAPTURE.kind,),
    "text": (TEXT.kind,),
    "rtstruct": (STRUCTURE_SET.kind,),
    "heat-maps": (HEAT_MAP.kind,),
}
_PLAIN = str(ExplicitVRLittleEndian)
ENCODINGS = {
    "seg": ((str(SegmentationStorage), _PLAIN),),
    "sr": ((str(Comprehensive3DSRStorage), _PLAIN),),
    "pdf": ((str(EncapsulatedPDFStorage), _PLAIN),),
    "text": ((str(BasicTextSRStorage), _PLAIN),),
    "capture": ((str(SecondaryCaptureImageStorage), _PLAIN),),
    "rtstruct": ((str(RTStructureSetStorage), _PLAIN),),
    "heat-maps": ((str(ParametricMapStorage), str(RLELossless)),),
}
"""SOP class and transfer syntax of what each word of `send` names, as it is stored."""

LABEL_MAP = ("1.2.840.10008.5.1.4.1.1.66.7", str(RLELossless))
"""The same of Segmentations for a destination with `seg: labelmap`."""


def targets(destinations: Mapping[str, AnyDestination]) -> dict[str, Target]:
    """What a worker delivers to, by name."""
    return {name: _target(name, destination) for name, destination in destinations.items()}


def selections(destinations: Iterable[AnyDestination]) -> tuple[Selection, ...]:
    """What the destinations may get of a result, each once; the default where there is no destination.

    A destination that is to get a summary and Segmentations or measurements may refuse these: for it there is a summary
    that refers to none of them.
    """
    wanted = [
        Selection(style, frozenset(_results(one)))
        for one in destinations
        for style in (_style(one), _fallback(one))
        if style is not None
    ]
    without = [replace(one, kinds=one.kinds - NEEDED) for one in wanted if STUDY.kind in one.kinds]
    return tuple(dict.fromkeys([*wanted, *without])) or (Selection(),)


def notice_wanted(destinations: Iterable[AnyDestination]) -> bool:
    """Returns whether any destination wants a notice: why nothing was analysed."""
    return any(destination.notice for destination in destinations)


def address(name: str, destination: AnyDestination) -> str:
    """For people."""
    if isinstance(destination, WebDestination):
        return destination.url
    return f"{destination.ae_title}@{destination.host}:{destination.port}"


def check(name: str, destination: AnyDestination) -> Callable[[], str | None]:
    """Asks whether the destination answers: None, or why not in words."""
    if isinstance(destination, WebDestination):
        return partial(web.check, web_node(name, destination))
    return partial(echo, _node(name, destination))


def try_out(name: str, destination: AnyDestination) -> Iterator[tuple[str, Finding]]:
    """What a destination that answers would do with results. Over DICOMweb only the first object tells."""
    if isinstance(destination, WebDestination):
        return
    node = _node(name, destination)
    yield "storage", try_storage(node, list(wanted(destination)))
    confirm = Confirm(destination.confirm)
    if confirm is not Confirm.NONE:
        yield "confirmation", try_confirmation(node, commitment=confirm is Confirm.COMMITMENT)


def wanted(destination: AnyDestination) -> Iterator[Wanted]:
    """What a destination is to store, as it is encoded."""
    for product in destination.send:
        label_map = product == "seg" and _style(destination).seg is SegKind.LABELMAP
        yield Wanted(f"{product!r} of `send`", (LABEL_MAP, *ENCODINGS[product]) if label_map else ENCODINGS[product])
    if destination.notice:
        yield Wanted("`notice`", ENCODINGS["text"])
        yield Wanted("`notice`", ENCODINGS["pdf"])


def _target(name: str, destination: AnyDestination) -> Target:
    deliver, ask, find = _ways(name, destination)
    return Target(
        peer=peer(destination),
        send=deliver,
        policy=RetryPolicy(destination.retry_delays_s, timedelta(hours=destination.give_up_after_h)),
        kinds=frozenset(_kinds(destination)),
        style=_style(destination).name,
        confirm=Confirm(destination.confirm),
        ask=ask,
        find=find,
        answer_within_s=destination.answer_within_s,
        rules=tuple(Rule(**route.model_dump()) for route in destination.when),
        fallback=fallback.name if (fallback := _fallback(destination)) else None,
    )


def _results(destination: AnyDestination) -> Iterator[str]:
    for product in destination.send:
        yield from _KINDS[product]


def _kinds(destination: AnyDestination) -> Iterator[str]:
    yield from _results(destination)
    if destination.notice:
        yield from NOTICES


def _ways(name: str, destination: AnyDestination) -> tuple[Send, Ask | None, Find]:
    """How to send there, to ask for a commitment, and to look what is there."""
    if isinstance(destination, WebDestination):
        there = web_node(name, destination)
        return partial(stow.store, there), None, partial(web.find_instances, there)
    node = _node(name, destination)
    return partial(send, node, convertible=True), partial(request, node), partial(find_instances, node)


def peer(destination: AnyDestination) -> Participant:
    """The destination as audit messages name it."""
    if isinstance(destination, WebDestination):
        return Participant(destination.url, address=destination.url)
    return Participant(destination.ae_title, ae_title=destination.ae_title, address=destination.host)


def _node(name: str, destination: DicomDestination) -> DicomNode:
    return DicomNode(
        name,
        destination.ae_title,
        destination.host,
        destination.port,
        destination.calling_ae_title,
        tls_files(destination.tls),
    )


def web_node(name: str, destination: WebDestination) -> web.WebNode:
    """The destination as a DICOMweb service that is asked."""

    def secret(value: SecretStr | None) -> str:
        return value.get_secret_value() if value else ""

    return web.WebNode(
        name,
        destination.url,
        destination.user or "",
        secret(destination.password),
        secret(destination.token),
        tls_files(destination.tls),
    )


def _style(destination: AnyDestination) -> Style:
    return Style(SegKind(destination.seg), destination.all_frames)


def _fallback(destination: AnyDestination) -> Style | None:
    """What goes out where the destination takes no label maps; None: there is nothing simpler."""
    return Style(SegKind.BINARY, destination.all_frames) if _style(destination).seg is SegKind.LABELMAP else None
