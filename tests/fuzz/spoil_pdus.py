"""Ways to spoil an association: its PDUs, their order, and the messages in them (PS3.8 9.3, PS3.7 6.3)."""

from collections.abc import Callable, Sequence
from random import Random
from struct import pack

from tests.fuzz import spoil_bytes
from tests.fuzz.recording import Pdus
from tests.fuzz.spoil_bytes import LENGTHS

_FRAGMENT = 2
"""Bytes of a PDV before its fragment: context and control header."""


def _replaced(said: Pdus, number: int, pdu: bytes) -> list[bytes]:
    return [*said[:number], pdu, *said[number + 1 :]]


def _values(said: Pdus) -> list[int]:
    """Which PDUs are presentation data values (P-DATA-TF)."""
    return [k for k, pdu in enumerate(said) if pdu[0] == 4 and len(pdu) > 10 + _FRAGMENT]


def _sized(pdu: bytes) -> bytes:
    """The PDU with the length that it has."""
    return pdu[:2] + pack(">L", len(pdu) - 6) + pdu[6:]


def bytes_of_one(said: Pdus, others: Sequence[Pdus], chance: Random) -> list[bytes]:
    number = chance.randrange(len(said))
    return _replaced(said, number, chance.choice(spoil_bytes.ANYWHERE)(said[number], chance))


def inside_of_one(said: Pdus, others: Sequence[Pdus], chance: Random) -> list[bytes]:
    """The rest of a PDU, whose length is right."""
    number = chance.choice([k for k, pdu in enumerate(said) if len(pdu) > 6] or [0])
    if len(said[number]) <= 6:
        return bytes_of_one(said, others, chance)
    rest = chance.choice(spoil_bytes.ANYWHERE)(said[number][6:], chance)
    return _replaced(said, number, _sized(said[number][:6] + rest))


def length_lies(said: Pdus, others: Sequence[Pdus], chance: Random) -> list[bytes]:
    number = chance.randrange(len(said))
    true = len(said[number]) - 6
    claimed = chance.choice((*LENGTHS, true - 1, true + 1, true * 2)) & 0xFFFFFFFF
    return _replaced(said, number, said[number][:2] + pack(">L", claimed) + said[number][6:])


def item_length_lies(said: Pdus, others: Sequence[Pdus], chance: Random) -> list[bytes]:
    """An item of a request, or a presentation data value."""
    number = chance.randrange(len(said))
    pdu = said[number]
    if pdu[0] == 4:
        claimed = pack(">L", chance.choice(LENGTHS))
        return _replaced(said, number, pdu[:6] + claimed + pdu[10:])
    at = chance.choice([k for k in range(6, len(pdu) - 4) if pdu[k + 1] == 0] or [0])
    return _replaced(said, number, pdu[: at + 2] + pack(">H", chance.choice(LENGTHS) & 0xFFFF) + pdu[at + 4 :])


def command_spoilt(said: Pdus, others: Sequence[Pdus], chance: Random) -> list[bytes]:
    """A command set: every byte of it counts."""
    commands = [k for k in _values(said) if said[k][11] & 1]
    if not commands:
        return inside_of_one(said, others, chance)
    number = chance.choice(commands)
    head, command = said[number][: 10 + _FRAGMENT], said[number][10 + _FRAGMENT :]
    spoilt = chance.choice(spoil_bytes.ANYWHERE)(command, chance)
    return _replaced(said, number, _sized(head[:6] + pack(">L", len(spoilt) + _FRAGMENT) + head[10:] + spoilt))


def control_header(said: Pdus, others: Sequence[Pdus], chance: Random) -> list[bytes]:
    """Another context, or another kind of fragment."""
    values = _values(said)
    if not values:
        return bytes_of_one(said, others, chance)
    number = chance.choice(values)
    context, control = chance.choice((0, 1, 2, 3, 5, 255)), chance.choice((0, 1, 2, 3, 4, 255))
    return _replaced(said, number, said[number][:10] + bytes((context, control)) + said[number][12:])


def unknown_type(said: Pdus, others: Sequence[Pdus], chance: Random) -> list[bytes]:
    number = chance.randrange(len(said))
    return _replaced(said, number, bytes((chance.randrange(256),)) + said[number][1:])


def cut_off(said: Pdus, others: Sequence[Pdus], chance: Random) -> list[bytes]:
    """Nothing comes after the middle of a PDU."""
    number = chance.randrange(len(said))
    return [*said[:number], spoil_bytes.truncate(said[number], chance)]


def spliced(said: Pdus, others: Sequence[Pdus], chance: Random) -> list[bytes]:
    """Half a PDU of this association, half one of another."""
    number, other = chance.randrange(len(said)), chance.choice(chance.choice(others))
    both = spoil_bytes.spliced(said[number], other, chance)
    return _replaced(said, number, _sized(both) if len(both) >= 6 and chance.random() < 0.7 else both)


def repeated(said: Pdus, others: Sequence[Pdus], chance: Random) -> list[bytes]:
    number = chance.randrange(len(said))
    return [*said[:number], *[said[number]] * chance.choice((2, 3, 30)), *said[number + 1 :]]


def left_out(said: Pdus, others: Sequence[Pdus], chance: Random) -> list[bytes]:
    number = chance.randrange(len(said))
    return [*said[:number], *said[number + 1 :]]


def out_of_order(said: Pdus, others: Sequence[Pdus], chance: Random) -> list[bytes]:
    first, *rest = said
    chance.shuffle(rest)
    return [first, *rest] if chance.random() < 0.8 else [*rest, first]


def of_another(said: Pdus, others: Sequence[Pdus], chance: Random) -> list[bytes]:
    """A PDU of another association, or one that only an acceptor sends, in between."""
    replies = [bytes((kind, 0, 0, 0, 0, 4, 0, chance.randrange(4), 1, chance.randrange(8))) for kind in (3, 5, 6, 7)]
    accept = b"\x02" + said[0][1:]
    added = chance.choice((chance.choice(chance.choice(others)), chance.choice(replies), accept))
    at = chance.randrange(len(said) + 1)
    return [*said[:at], added, *said[at:]]


def noise(said: Pdus, others: Sequence[Pdus], chance: Random) -> list[bytes]:
    """Random bytes, at the beginning or once the association stands."""
    return [*said[: chance.randrange(2)], chance.randbytes(chance.choice((1, 6, 100, 10_000)))]


WAYS: Sequence[Callable[[Pdus, Sequence[Pdus], Random], list[bytes]]] = (
    *(bytes_of_one, inside_of_one, length_lies, item_length_lies, command_spoilt, control_header, unknown_type),
    *(cut_off, spliced, repeated, left_out, out_of_order, of_another, noise),
)


def spoilt(every: Sequence[Pdus], chance: Random) -> tuple[str, bytes]:
    """One association spoilt in one way, seldom in two; the ways in words, and all its bytes."""
    said = chance.choice(every)
    ways = chance.choices(WAYS, k=chance.choice((1, 1, 1, 2)))
    for way in ways:
        said = tuple(filter(None, way(said, every, chance))) or said
    return " + ".join(way.__name__ for way in ways), b"".join(said)
