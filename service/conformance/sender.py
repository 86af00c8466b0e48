"""Sections 3.2 and 3.3: the sender, what it proposes to each destination and what answers mean to it."""

from collections.abc import Iterator, Mapping, Sequence

from pydicom.uid import UID

from service.composition.destinations import ENCODINGS, LABEL_MAP, address, wanted
from service.conformance.rows import Table, table
from service.domain.commitment import REASONS
from service.domain.delivery import ABSENCES_AT_MOST
from service.network.commitment import NO_COMMITMENT
from service.network.dimse import ASKED, asked
from service.network.peer import ANSWER_S, CONNECT_S
from service.network.renditions import class_name, renditions
from service.network.status import RULES, StatusRule, Verdict
from service.network.stow import NEVER_BY_WEB
from service.settings import AnyDestination, DicomDestination, WebDestination
from service.worker.confirmation import ASK_AT_MOST

_MEANS = {
    Verdict.STORED: "stored",
    Verdict.TRANSIENT: "tried again by the schedule, until `give_up_after_h`",
    Verdict.PERMANENT: "final",
}

_PRODUCTS = {
    "seg": "Segmentations",
    "sr": "SRs of TID 1500",
    "pdf": "report, page of a notice",
    "text": "report as text, notice",
    "capture": "report as a picture",
    "rtstruct": "structure set",
    "heat-maps": "heat maps",
}
"""What the words of `send` name."""


def sender(destinations: Mapping[str, AnyDestination]) -> list[str | Table]:
    """Association policies, what is proposed, and what is done about each answer."""
    return [
        "### 3.2 Sender",
        "#### 3.2.1 Associations",
        f"A connection and an association have to come about within {CONNECT_S:g} s each, an answer within "
        f"{ANSWER_S:g} s. PDUs of any length are taken. One association for the objects of a result, or more, one "
        "after the other, where their presentation contexts are more than one association has; and one for each "
        "question.",
        "#### 3.2.2 Presentation contexts",
        "All in one association, each abstract syntax with each transfer syntax in a presentation context of its "
        "own. The first that is accepted is used:",
        proposed(),
        "An SR with SCOORD3D (a line across slices) fits Comprehensive 3D SR only, and is refused by name elsewhere. "
        "In another transfer syntax it is the same object: UIDs, attributes and pixels stay. In another SOP class it "
        "is another object, with a SOP Instance UID that derives from the original's, and the same content; "
        "`thoracle send`, whose files may be anybody's, proposes no other SOP class. Where a destination with `seg: "
        "labelmap` takes no label maps, it gets the same Segmentations and measurements in the binary style.",
        questions(),
        "#### 3.2.3 Destinations",
        *_destinations(destinations),
        "#### 3.2.4 C-STORE responses",
        statuses(),
        "What is final for one object stops no other, but those that refer to it: they are withheld, and of two "
        "summaries that which refers to nothing refused is sent. What no presentation context is accepted for counts "
        "as not supported. No answer at all (no association, host name not resolved, abort, time-out) is tried again "
        "with the same bytes.",
        f"An object that was stored and {ABSENCES_AT_MOST} times seen to be absent (Failure Reason 0x0112, or not "
        "found by C-FIND or QIDO-RS `answer_within_s` after it was stored) is sent no more.",
        "#### 3.2.5 Storage commitment",
        f"N-ACTION is repeated with a new Transaction UID up to {ASK_AT_MOST} times while it is accepted and not "
        "answered. A request that is refused (any status), not supported, rejected or aborted, and a report that "
        "decides nothing (*ask later* below), is followed by C-FIND: what is found counts as kept. After a status of "
        f"{', '.join(f'0x{one:04X}' for one in NO_COMMITMENT)} the peer is taken to know no storage commitment.",
        failure_reasons(),
        "### 3.3 DICOMweb\n\n"
        "The Failure Reason of an answer counts as the status; a success that does not name the object (201, 202, "
        "204, no body, XML, another UID) is looked up by QIDO-RS before the object is sent again. Implicit VR Little "
        "Endian is never sent (PS3.18 8.7.3.5).",
    ]


def proposed() -> Table:
    """What may be proposed, by what `send` of a destination names."""
    rows = [*_rows("seg: labelmap", [LABEL_MAP], "label maps")]
    for product, encodings in ENCODINGS.items():
        rows += _rows(product, encodings, _PRODUCTS[product])
    return table("proposed-contexts", ("`send`", "Objects", "Abstract syntax", "Transfer syntaxes"), rows)


def _rows(
    product: str, encodings: Sequence[tuple[str, str]], what: str, by_web: bool = False
) -> Iterator[tuple[str, ...]]:
    """One for each SOP class, with its transfer syntaxes, the best first."""
    syntaxes: dict[str, list[str]] = {}
    for sop_class, transfer_syntax in encodings:
        for way in renditions(sop_class, transfer_syntax, convertible=True):
            if not (by_web and way.transfer_syntax_uid == NEVER_BY_WEB):
                syntaxes.setdefault(way.sop_class_uid, []).append(UID(way.transfer_syntax_uid).name)
    for sop_class, names in syntaxes.items():
        key = f"{product} {UID(sop_class).keyword or sop_class}"
        yield key, f"`{product}`", what, f"{class_name(sop_class)} ({sop_class})", ", ".join(names)


def questions() -> Table:
    """Contexts of the other services."""
    rows = [
        (name, f"{name} ({uid})", ", ".join(UID(one).name for one in asked(uid).transfer_syntax))
        for uid, name in ASKED.items()
    ]
    return table("proposed-questions", ("Abstract syntax", "Transfer syntaxes"), rows)


def statuses() -> Table:
    """What a status means for the object."""
    rows = [
        (rule.pattern, _ANY.get(rule.pattern, f"0x{rule.pattern}"), rule.name, _consequence(rule)) for rule in RULES
    ]
    return table("store-statuses", ("Status", "Name", "What it means for the object"), rows)


_ANY = {"xxxx": "any other"}


def _consequence(rule: StatusRule) -> str:
    if rule.unsupported:
        return (
            "another rendition or style is sent where there is one; else final; so is what no context is accepted for"
        )
    return (
        f"{_MEANS[rule.verdict]}; shown with the object and counted" if rule.pattern == "Bxxx" else _MEANS[rule.verdict]
    )


def failure_reasons() -> Table:
    """Failure Reasons of a commitment report."""
    rows = [(f"{one:04X}", f"0x{one:04X}", words, meaning.value) for one, (words, meaning) in REASONS.items()]
    rows.append(("other", "any other", "unknown", "ask later"))
    return table("failure-reasons", ("Failure Reason", "Name", "What is done"), rows)


def _destinations(destinations: Mapping[str, AnyDestination]) -> list[str | Table]:
    if not destinations:
        return ["None is configured: results stay in the `data_dir`."]
    parts: list[str | Table] = [
        table(
            "destinations",
            ("Destination", "Address", "We call as", "TLS", "`send`", "`seg`", "Confirmed by"),
            [(name, *_described(name, one)) for name, one in destinations.items()],
        )
    ]
    for name, one in destinations.items():
        parts += [f"What `{name}` is offered:", offered(name, one)]
    return parts


def offered(name: str, destination: AnyDestination) -> Table:
    """What is proposed to a destination."""
    rows = {
        (sop_class, syntaxes): (f"{wish.product} {key}", wish.product, sop_class, syntaxes)
        for wish in wanted(destination)
        for key, _, _, sop_class, syntaxes in _rows("", wish.encodings, "", isinstance(destination, WebDestination))
    }
    return table(f"offered {name}", ("For", "Abstract syntax", "Transfer syntaxes"), list(rows.values()))


def _described(name: str, one: AnyDestination) -> tuple[str, ...]:
    calling = one.calling_ae_title if isinstance(one, DicomDestination) else "-"
    secured = one.url.startswith("https://") if isinstance(one, WebDestination) else one.tls is not None
    kinds = [*one.send, *(["notice"] if one.notice else [])]
    return name, address(name, one), calling, "on" if secured else "off", ", ".join(kinds), one.seg, one.confirm
