"""Interprets the status of a C-STORE or STOW-RS (PS3.4 B.2.3, PS3.7 Annex C, PS3.18 Annex I)."""

from enum import StrEnum

from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

DUPLICATE = 0x0111
"""Duplicate SOP Instance: an earlier attempt brought it there, its answer was lost."""

_NOT_NOW = (
    0x0110,  # processing failure
    0x0124,  # not authorised: an operator of the peer mends it, as an unknown AE title
    0x0210,  # duplicate invocation
    0x0213,  # resource limitation
)
_CLASS_NOT_SUPPORTED = 0x0122
TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122


class Verdict(StrEnum):
    """Outcome of a store request: the object is there, may be there, may get there later, or never will.

    UNCLEAR: the peer took it and did not say in a way that we understand what it did with it.
    """

    STORED = "stored"
    UNCLEAR = "unclear"
    TRANSIENT = "transient"
    PERMANENT = "permanent"


def verdict_of(status: int) -> Verdict:
    """What a C-STORE status means.

    0xCxxx, "cannot understand", is what many archives answer while they are busy: it is tried again by the schedule.
    """
    if status in (0x0000, DUPLICATE) or is_warning(status):
        return Verdict.STORED
    if unsupported(status):
        return Verdict.PERMANENT
    if status >> 8 == 0xA7 or status >> 12 == 0xC or status in _NOT_NOW:
        return Verdict.TRANSIENT
    return Verdict.PERMANENT


def is_warning(status: int) -> bool:
    """Whether the object is stored, with a warning, such as 0xB000: elements were coerced."""
    return status >> 12 == 0xB


def unsupported(status: int) -> bool:
    """Whether the peer cannot take this SOP class or encoding; it may take the same content in another one.

    0xA8xx is what "SOP class not supported" was before 0x0122; 0xA9xx: the data set does not match the SOP class.
    """
    return status in (_CLASS_NOT_SUPPORTED, TRANSFER_SYNTAX_NOT_SUPPORTED) or status >> 8 in (0xA8, 0xA9)


def in_words(status: int) -> str:
    """A status for people, with its number."""
    _, meaning = STORAGE_SERVICE_CLASS_STATUS.get(status, ("", ""))
    return f"status 0x{status:04X} {meaning}".rstrip()
