"""Whether an image went through lossy compression (PS3.3 C.7.6.1.1.5)."""

from itertools import islice

from pydicom import Dataset
from pydicom.uid import (
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from service.imaging.attributes import texts
from service.imaging.codestream import codestreams, loses_information

_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)


def is_lossy(dataset: Dataset) -> bool:
    """True if Lossy Image Compression is 01, the transfer syntax is a lossy one, or the first code stream says so."""
    if "01" in texts(dataset, "LossyImageCompression") or dataset.file_meta.TransferSyntaxUID in _LOSSY:
        return True
    return "PixelData" in dataset and any(loses_information(frame) for frame in islice(codestreams(dataset), 1))
