"""Exceptions that pydicom raises for bytes that make no dataset or no value."""

import struct
import zlib

from pydicom.errors import BytesLengthException, InvalidDicomError

UNPARSABLE = (
    *(ValueError, TypeError, ArithmeticError, LookupError, AttributeError, NotImplementedError, RecursionError),
    *(EOFError, struct.error, zlib.error, BytesLengthException, InvalidDicomError),
)
"""At times raised only when an element is looked at. OSError too, where the bytes are in memory; of a file it may mean
that the disk failed (`errors.is_storage_error`)."""
