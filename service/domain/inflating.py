"""Deflated datasets (PS3.5 A.5), inflated only as far as they are read, and never beyond a limit.

A megabyte of deflated zeros is a gigabyte: whoever inflates a dataset whole leaves the sender to decide how much memory
that takes.
"""

import zlib
from typing import BinaryIO

from service.domain.metered import LimitReached

_PIECE = 2**18
"""Most bytes that are inflated at once."""


class Inflating:
    """A file with the inflated bytes of a deflated one; can be read and sought as pydicom does.

    deflated: the file, at the beginning of its dataset. most: bytes that are inflated. Where the dataset goes on,
    reading raises LimitReached, or finds the end of the file if `cut`. zlib.error where the stream is broken or ends.
    """

    def __init__(self, deflated: BinaryIO, most: int, cut: bool = False) -> None:
        self._deflated = deflated
        self.most = most
        self._cut = cut
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._inflated = bytearray()
        self._at = 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer at the end only."""
        self._inflate(self._at + size)
        found = bytes(memoryview(self._inflated)[self._at : self._at + size])
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place counted from the beginning (whence 0) or from here (1); nothing is inflated yet."""
        if whence not in (0, 1):
            raise ValueError("where a deflated dataset ends is not known")
        self._at = max(0, offset + (self._at if whence else 0))
        return self._at

    def tell(self) -> int:
        """Returns the place of the next byte."""
        return self._at

    def _inflate(self, wanted: int) -> None:
        """Inflate up to `wanted` bytes in all, as far as there are any."""
        while len(self._inflated) < min(wanted, self.most) and not self._inflater.eof:
            self._inflate_piece(min(_PIECE, self.most - len(self._inflated)))
        if wanted > self.most and not self._cut and len(self._inflated) >= self.most and not self._ends_here():
            raise LimitReached(f"it inflates to more than {self.most:,} bytes")

    def _inflate_piece(self, most: int) -> None:
        deflated = self._inflater.unconsumed_tail or self._deflated.read(_PIECE)
        inflated = self._inflater.decompress(deflated, most)
        if not (deflated or inflated or self._inflater.eof):
            raise zlib.error("the deflated dataset is cut off")
        self._inflated += inflated

    def _ends_here(self) -> bool:
        """Whether nothing follows what is inflated: one more byte tells."""
        if not self._inflater.eof:
            self._inflate_piece(1)
        return self._inflater.eof and len(self._inflated) <= self.most
