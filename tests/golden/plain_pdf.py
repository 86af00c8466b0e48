"""A PDF without what its compression decides: two zlib libraries write the same content in different bytes."""

import re
import zlib

_STREAM = re.compile(rb"/Length \d+|stream\r?\n(.*?)endstream", re.DOTALL)
_TABLES = re.compile(rb"xref\n.*?trailer\n|startxref\n\d+\n|/ID\s*\n?\[.*?\]", re.DOTALL)
"""Byte positions, and a digest of all bytes."""


def inflated(pdf: bytes) -> bytes:
    """The PDF with plain streams, without lengths, positions and its own digest."""
    return _TABLES.sub(b"", _STREAM.sub(_plain, pdf))


def _plain(found: re.Match[bytes]) -> bytes:
    if found[1] is None:
        return b""
    return b"stream\n" + zlib.decompress(found[1].rstrip(b"\r\n")) + b"\nendstream"
