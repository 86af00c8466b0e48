"""Pixel Padding as senders write it (PS3.3 C.7.5.1.1.2): of another value representation, half empty."""

from collections.abc import Sequence
from typing import Any

from pydicom import Dataset

from service.imaging.attributes import MALFORMED, Unreadable, find

_LARGEST = 2**32


def padding_ends(header: Dataset) -> tuple[int, ...]:
    """Pixel Padding Value, and Pixel Padding Range Limit if there is one; () without padding.

    Unreadable where it is no integer, or several: which one stands for no image would be a guess.
    """
    value, limit = (_only(header, keyword) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"))
    return tuple(end for end in (value, limit) if value is not None and end is not None)


def _only(header: Dataset, keyword: str) -> int | None:
    value = find(header, keyword)
    if value is None:
        return None
    values = _words(value) if isinstance(value, bytes) else _several(value)
    if len(values) > 1:
        raise Unreadable(f"{keyword} has {len(values)} values")
    try:
        number = float(values[0])
        if number.is_integer() and abs(number) < _LARGEST:
            return int(number)
    except MALFORMED as exc:
        raise Unreadable(f"{keyword} is malformed") from exc
    raise Unreadable(f"{keyword} is malformed")


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _words(value: bytes) -> Sequence[int]:
    """The 16-bit words of OW or OB; whether they are signed, the stored values tell."""
    return [int.from_bytes(value[at : at + 2], "little") for at in range(0, len(value) - 1, 2)]
