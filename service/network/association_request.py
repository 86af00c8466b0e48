"""The first words of an association, as bytes: what is asked for, and how it is refused (PS3.8 9.3)."""

from dataclasses import dataclass
from enum import Enum
from typing import Self

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

from service.domain.unparsable import UNPARSABLE

HEADER = 6
"""Bytes before the rest of a PDU: its type, one byte reserved, the length of the rest (32 bits, big endian)."""

_ASSOCIATE_RQ, _ASSOCIATE_RJ, _ABORT = 0x01, 0x03, 0x07
_SHORTEST = 74
"""Bytes of a request with its header and without any item."""

LONGEST = 1 << 17
"""128 presentation contexts with a dozen transfer syntaxes each fit twice."""

ABORT = bytes([_ABORT, 0, 0, 0, 0, 4, 0, 0, 2, 1])
"""An A-ABORT by the service provider: unrecognized PDU (PS3.8 9.3.8)."""


class Refused(Enum):
    """Reasons to refuse an association: each is the result, source and reason of PS3.8 table 9-21."""

    CALLING_AE = (1, 1, 3)
    CALLED_AE = (1, 1, 7)
    LIMIT = (2, 3, 2)

    @property
    def pdu(self) -> bytes:
        """The A-ASSOCIATE-RJ."""
        return bytes([_ASSOCIATE_RJ, 0, 0, 0, 0, 4, 0, *self.value])


@dataclass(frozen=True, slots=True)
class AssociationRequest:
    """An A-ASSOCIATE-RQ. pdu: all its bytes."""

    called_ae: str
    calling_ae: str
    pdu: bytes

    @classmethod
    def of(cls, pdu: bytes) -> Self:
        """pdu: as long as it says. ValueError where pynetdicom could not negotiate about it."""
        try:
            decoded = A_ASSOCIATE_RQ()
            decoded.decode(pdu)
            asked = decoded.to_primitive()
            complete = all(one.abstract_syntax and one.transfer_syntax for one in _contexts(asked))
        except (*UNPARSABLE, OSError, AssertionError) as error:
            raise ValueError(f"an association request that cannot be read ({type(error).__name__})") from error
        if not complete:
            raise ValueError("a presentation context without a syntax was proposed")
        return cls(asked.called_ae_title.strip(), asked.calling_ae_title.strip(), pdu)


def _contexts(asked: A_ASSOCIATE) -> list[PresentationContext]:
    return list(asked.presentation_context_definition_list)


def length(heard: bytes) -> int:
    """Bytes of the PDU that begins so, with its header; ValueError if it is no request that anybody would make.

    heard: at least `HEADER` bytes.
    """
    rest = int.from_bytes(heard[2:HEADER], "big")
    if heard[0] != _ASSOCIATE_RQ:
        raise ValueError("something else than an association was asked for")
    if not _SHORTEST <= HEADER + rest <= LONGEST:
        raise ValueError(f"an association request of {rest} bytes")
    return HEADER + rest
