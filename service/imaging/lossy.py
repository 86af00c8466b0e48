"""Whether an image went through lossy compression (PS3.3 C.7.6.1.1.5)."""

from pydicom import Dataset
from pydicom.uid import (
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)


def is_lossy(dataset: Dataset) -> bool:
    """True if Lossy Image Compression is 01 or the transfer syntax is a lossy one."""
    return dataset.get("LossyImageCompression") == "01" or dataset.file_meta.TransferSyntaxUID in _LOSSY
