"""Patterns of AE titles."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TypeVar

Entry = TypeVar("Entry")


def entry_of(title: str, entries: Mapping[str, Entry]) -> Entry | None:
    """Returns the entry of this very title, else the first whose pattern fits it; None if there is none.

    In a pattern * stands for any letters and ? for one; nothing else has a meaning of its own.
    """
    own = entries.get(title)
    fitting = (one for pattern, one in entries.items() if fnmatchcase(title, pattern.replace("[", "[[]")))
    return next(fitting, None) if own is None else own
