"""A file that counts what is read of it: elements and items take many times the memory of their bytes."""

from typing import Any


class LimitReached(ValueError):
    """A file holds more than is read of any; the text is safe to log."""


class AskedForAll(ValueError):
    """Everything that is left of a file was asked for at once, which only pydicom's inflating does."""


class Metered:
    """What pydicom reads from.

    trouble: what ended the reading. It is raised too, but pydicom makes an OSError of whatever is raised in a sequence.
    """

    def __init__(self, file: Any, most_bytes: int, most_reads: int) -> None:
        self._file = file
        self.trouble: LimitReached | None = None
        self.allow(most_bytes, most_reads)

    def allow(self, most_bytes: int, most_reads: int) -> None:
        """Begin to count anew. What is passed over by `seek` does not count."""
        self._bytes_left, self._reads_left = most_bytes, most_reads

    def read(self, size: int | None = None) -> bytes:
        """Up to `size` bytes; LimitReached beyond the limits, AskedForAll without a size."""
        if size is None or size < 0:
            raise AskedForAll("a dataset is never read whole at once")
        try:
            return self._read(size)
        except LimitReached as error:
            self.trouble = error
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place counted from the beginning (whence 0) or from here (1)."""
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        """Returns the place of the next byte."""
        return int(self._file.tell())

    def _read(self, size: int) -> bytes:
        self._reads_left -= 1
        if self._reads_left < 0:
            raise LimitReached("it has more elements, items or fragments than are read of any CT")
        found: bytes = self._file.read(min(size, self._bytes_left + 1))
        self._bytes_left -= len(found)
        if self._bytes_left < 0:
            raise LimitReached("it has more bytes than are read of any CT")
        return found
