"""Interprets the status of a C-STORE or STOW-RS (PS3.4 B.2.3, PS3.7 Annex C, PS3.18 Annex I)."""

from dataclasses import dataclass
from enum import StrEnum

from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122


class Verdict(StrEnum):
    """Outcome of a store request: the object is there, may be there, may get there later, or never will.

    UNCLEAR: the peer took it and did not say in a way that we understand what it did with it.
    """

    STORED = "stored"
    UNCLEAR = "unclear"
    TRANSIENT = "transient"
    PERMANENT = "permanent"


@dataclass(frozen=True, slots=True)
class StatusRule:
    """What a status means. pattern: its four digits, of which an x stands for any. name: in a few words.

    unsupported: the peer cannot take this SOP class or encoding; it may take the same content in another one.
    """

    pattern: str
    name: str
    verdict: Verdict
    unsupported: bool = False

    def fits(self, status: int) -> bool:
        """Whether it is about this status."""
        digits = f"{status:04X}"
        return len(digits) == 4 and all(own in ("x", digit) for own, digit in zip(self.pattern, digits, strict=True))


_WARNING = StatusRule("Bxxx", "warning, for instance that elements were coerced", Verdict.STORED)

RULES = (
    StatusRule("0000", "success", Verdict.STORED),
    StatusRule("0111", "duplicate: an earlier attempt brought it there, its answer was lost", Verdict.STORED),
    _WARNING,
    StatusRule("0122", "SOP class not supported", Verdict.PERMANENT, unsupported=True),
    StatusRule("A8xx", "SOP class not supported, as it was written before 0x0122", Verdict.PERMANENT, unsupported=True),
    StatusRule("A9xx", "the data set does not match the SOP class", Verdict.PERMANENT, unsupported=True),
    StatusRule("C122", "transfer syntax not supported", Verdict.PERMANENT, unsupported=True),
    StatusRule("A7xx", "out of resources", Verdict.TRANSIENT),
    StatusRule("Cxxx", "cannot understand: what many archives answer while they are busy", Verdict.TRANSIENT),
    StatusRule("0110", "processing failure", Verdict.TRANSIENT),
    StatusRule("0124", "not authorised: an operator of the peer mends it", Verdict.TRANSIENT),
    StatusRule("0210", "duplicate invocation", Verdict.TRANSIENT),
    StatusRule("0213", "resource limitation", Verdict.TRANSIENT),
    StatusRule("xxxx", "not known", Verdict.PERMANENT),
)
"""Meanings of statuses; the first that fits counts."""


def rule_of(status: int) -> StatusRule:
    """The rule for a status; for what is none, as a DICOMweb server may answer, that for any other."""
    return next((rule for rule in RULES if rule.fits(status)), RULES[-1])


def verdict_of(status: int) -> Verdict:
    """What a C-STORE status means."""
    return rule_of(status).verdict


def is_warning(status: int) -> bool:
    """Whether the object is stored, with a warning."""
    return rule_of(status) is _WARNING


def unsupported(status: int) -> bool:
    """Whether the peer may take the same content in another SOP class or encoding."""
    return rule_of(status).unsupported


def in_words(status: int) -> str:
    """A status for people, with its number."""
    _, meaning = STORAGE_SERVICE_CLASS_STATUS.get(status, ("", ""))
    return f"status 0x{status:04X} {meaning}".rstrip()
