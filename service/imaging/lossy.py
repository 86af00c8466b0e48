"""Whether an image went through lossy compression (PS3.3 C.7.6.1.1.5)."""

from itertools import islice

from pydicom import Dataset
from pydicom.uid import (
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from service.imaging.attributes import MALFORMED, texts, transfer_syntax
from service.imaging.codestream import codestreams, loses_information

_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)


def is_lossy(dataset: Dataset) -> bool:
    """True if Lossy Image Compression is 01, the transfer syntax is a lossy one, or the first code stream says so."""
    if "01" in texts(dataset, "LossyImageCompression") or transfer_syntax(dataset) in _LOSSY:
        return True
    return "PixelData" in dataset and _stream_tells(dataset)


def _stream_tells(dataset: Dataset) -> bool:
    """False where there is no code stream to be found: reading refuses that by name."""
    try:
        return any(loses_information(frame) for frame in islice(codestreams(dataset), 1))
    except (RuntimeError, *MALFORMED):
        return False
