"""Patterns of AE titles."""

from fnmatch import fnmatchcase


def fits(title: str, pattern: str) -> bool:
    """Whether a title is the pattern, in which * stands for any letters and ? for one; nothing else does."""
    return fnmatchcase(title, pattern.replace("[", "[[]"))
