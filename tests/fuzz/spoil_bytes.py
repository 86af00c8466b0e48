"""Ways to spoil any bytes, whatever they mean."""

from collections.abc import Callable, Sequence
from random import Random
from struct import pack

Spoil = Callable[[bytes, Random], bytes]

LENGTHS = (0, 1, 7, 255, 256, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x10000, 2**24, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)
"""Numbers that a length is often compared with."""


def flip(content: bytes, chance: Random) -> bytes:
    """Up to 64 bits, mostly a few."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 8, 64))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def overwrite(content: bytes, chance: Random) -> bytes:
    """A length, or noise, over what stands somewhere."""
    at = chance.randrange(len(content))
    size, order = chance.choice((">H", "<H", ">L", "<L")), chance.choice(LENGTHS)
    new = pack(size, order & (0xFFFF if size[1] == "H" else 0xFFFFFFFF))
    if chance.random() < 0.3:
        new = chance.randbytes(chance.choice((1, 8, 64)))
    return content[:at] + new + content[at + len(new) :]


def truncate(content: bytes, chance: Random) -> bytes:
    return content[: chance.randrange(len(content))]


def leave_out(content: bytes, chance: Random) -> bytes:
    at, length = chance.randrange(len(content)), chance.choice((1, 2, 4, 8, 100, 1000))
    return content[:at] + content[at + length :]


def repeat(content: bytes, chance: Random) -> bytes:
    at, length = chance.randrange(len(content)), chance.choice((1, 2, 8, 100, 1000))
    return content[:at] + content[at : at + length] * chance.choice((2, 3, 50)) + content[at + length :]


def insert(content: bytes, chance: Random) -> bytes:
    at = chance.randrange(len(content))
    return content[:at] + chance.randbytes(chance.choice((1, 2, 4, 8, 100))) + content[at:]


ANYWHERE: Sequence[Spoil] = (flip, overwrite, truncate, leave_out, repeat, insert)


def spliced(first: bytes, second: bytes, chance: Random) -> bytes:
    """The beginning of one and the end of another."""
    return first[: chance.randrange(len(first))] + second[chance.randrange(len(second)) :]
