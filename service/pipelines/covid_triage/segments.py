"""The label map of lung lesions: how they are coded, named and coloured."""

import numpy as np
from numpy.typing import NDArray
from pydicom.sr.codedict import codes as dicom

from service.domain import codes
from service.domain.analysis import LabelMap, LabelMapKind, Segment

KIND = LabelMapKind("lesions", "AI lung lesions", codes.private("OBJ-LESIONS", "Segmentation of lung lesions"))

LESION = Segment(1, "LESION", "Lung lesion", codes.MORPHOLOGY, dicom.SCT.Lesion, (220, 20, 60))
"""All lesions: which is which depends on their order, and two models are compared by the whole."""


def label_map(mask: NDArray[np.bool_]) -> LabelMap:
    """mask: of all lesions, axes (slice, row, column)."""
    return LabelMap(KIND, mask.astype(np.uint8), (LESION,))
