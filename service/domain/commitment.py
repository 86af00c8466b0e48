"""Storage commitment (PS3.4 Annex J): a PACS answers for each object whether it will keep it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Reference:
    """An object that the PACS is asked to keep."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to one transaction. failed: Failure Reasons (PS3.3 C.14.1.1) by SOP Instance UID."""

    transaction_uid: str
    committed: frozenset[str]
    failed: Mapping[str, int]


OnReport = Callable[[str, Report], bool]
"""Keeps a report of this calling AE title: when it returns, neither a kill nor a power cut loses it. From any thread.

True also for a report that is kept already: the peer may not have got our answer. False: we have no such transaction.
OSError: it cannot be kept now.
"""


class Consequence(StrEnum):
    """What to do about an object that is not committed."""

    RESEND = "resend"
    ASK_LATER = "ask later"
    REJECTED = "refused"


REASONS = {
    0x0110: ("processing failure", Consequence.ASK_LATER),
    0x0112: ("no such object instance", Consequence.RESEND),
    0x0119: ("class/instance conflict", Consequence.REJECTED),
    0x0122: ("referenced SOP class not supported", Consequence.REJECTED),
    0x0131: ("duplicate transaction UID", Consequence.ASK_LATER),
    0x0213: ("resource limitation", Consequence.ASK_LATER),
}
"""Failure Reasons of the standard (PS3.3 C.14.1.1): in words, and what they mean."""


def reason_in_words(reason: int) -> str:
    """A Failure Reason (PS3.3 C.14.1.1) for people, with its number."""
    words, _ = REASONS.get(reason, ("unknown reason", None))
    return f"{words} (0x{reason:04X})"


def consequence(reason: int) -> Consequence:
    """What a Failure Reason means for us. An unknown one is asked about again: only what the standard names is final.

    Asking again takes a new Transaction UID (PS3.4 J.3.3).
    """
    _, meaning = REASONS.get(reason, ("", Consequence.ASK_LATER))
    return meaning
