"""Pixel Padding as senders write it (PS3.3 C.7.5.1.1.2): with several values, of another representation, half empty."""

from collections.abc import Sequence
from typing import Any

from pydicom import Dataset

from service.imaging.attributes import MALFORMED, Unreadable, find

_LARGEST = 2**32


def padding_ends(header: Dataset) -> tuple[int, ...]:
    """Pixel Padding Value, and Pixel Padding Range Limit if there is one; () without padding.

    Of several values the first counts. Unreadable where it is no integer.
    """
    value, limit = (_first(header, keyword) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    return tuple(end for end in (value, limit) if value is not None and end is not None)


def _first(header: Dataset, keyword: str) -> int | None:
    value = find(header, keyword)
    if value is None:
        return None
    try:
        number = float(_from_bytes(value) if isinstance(value, bytes) else _one(value))
        if number.is_integer() and abs(number) < _LARGEST:
            return int(number)
    except MALFORMED as exc:
        raise Unreadable(f"{keyword} is malformed") from exc
    raise Unreadable(f"{keyword} is malformed")


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, Sequence) and not isinstance(value, str) else value


def _from_bytes(value: bytes) -> int:
    """The first 16-bit word of OW or OB; whether it is signed, the stored values tell."""
    if len(value) < 2:
        raise ValueError("less than one word")
    return int.from_bytes(value[:2], "little")
