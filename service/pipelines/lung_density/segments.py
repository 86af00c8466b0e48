"""The label map of attenuation: where the lung is below -950 HU, and where it is from -600 to -250 HU."""

import numpy as np
from numpy.typing import NDArray

from service.domain import codes
from service.domain.analysis import LabelArray, LabelMap, LabelMapKind, Segment
from service.domain.codes import private
from service.domain.ct import Hounsfield
from service.pipelines.lung_density.measure import HAA_HU, LAA_BELOW_HU

KIND = LabelMapKind(
    "density",
    "AI lung density",
    private("OBJ-DENSITY", "Segmentation of low and high attenuation areas"),
    outlined=False,
)

LAA = Segment(
    1,
    "LAA",
    "Low attenuation (below -950 HU)",
    codes.MORPHOLOGY,
    private("LAA", "Low attenuation area, below -950 HU"),
    (0, 90, 220),
)
HAA = Segment(
    2,
    "HAA",
    "High attenuation (-600 to -250 HU)",
    codes.MORPHOLOGY,
    private("HAA", "High attenuation area, from -600 to -250 HU"),
    (240, 170, 40),
)
"""Neither is a diagnosis: noise is low attenuation, too, and a vessel's edge is high attenuation."""


def label_map(hu: Hounsfield, lobe_mask: NDArray[np.uint8]) -> LabelMap:
    """hu, lobe_mask (`Lobe`): one shape (slice, row, column)."""
    labels: LabelArray = np.zeros(lobe_mask.shape, np.uint8)
    for plane, lobes, found in zip(hu, lobe_mask, labels, strict=True):
        lung = lobes > 0
        found[lung & (plane < LAA_BELOW_HU)] = LAA.label
        found[lung & (plane >= HAA_HU[0]) & (plane < HAA_HU[1])] = HAA.label
    return LabelMap(KIND, labels, (LAA, HAA))
