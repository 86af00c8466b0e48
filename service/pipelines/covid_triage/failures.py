"""Where the published system is known to fail (paper B), as far as it can be seen in the CT and the result.

Motion is not among them: nothing here tells it from disease.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.domain.flags import Flag
from service.imaging.boxes import bounds, clipped
from service.pipelines.covid_triage import flags as warnings
from service.pipelines.covid_triage.lesions import Lesion
from service.pipelines.shared import lobe_segments
from service.pipelines.shared.measure import Measurements, Region

METAL_HU, METAL_ML, METAL_WITHIN_MM = 3000.0, 0.5, 30.0
"""Metal is told where so much is so dense, so near the lungs. No bone nor contrast agent is as dense; a pacemaker is
several millilitres, a clip less than this."""

SMALL_MM = 10.0
"""A lesion is small if a ball of its volume has less than this diameter."""

TYPE_ML, TYPE_PART = 1.0, 0.2
"""There are several types of lesions if each has at least this volume, and at least this part of all lesions."""

LOBAR_PERCENT, LOBAR_DENSE_PART = 75.0, 0.5
"""A lobe is nearly consolidated if at least this percentage of it is lesion, and at least this part of the lesion is as
dense as consolidation."""


def known_failures(
    ct: CT, lungs: NDArray[np.bool_], lesions: Sequence[Lesion], regions: Measurements
) -> Iterator[Flag]:
    """Yields a warning for each known failure that shows.

    lungs: axes (slice, row, column) of the CT. regions: measurements of the lesions, split by attenuation.
    """
    metal_ml = _metal_ml(ct, lungs)
    if metal_ml >= METAL_ML:
        yield warnings.METAL.because(f"{metal_ml:.1f} mL above {METAL_HU:.0f} HU.")
    lobar = [lobe_segments.SEGMENT_OF[lobe].title.lower() for lobe in Lobe if _consolidated(regions.lobes[lobe])]
    if lobar:
        yield warnings.LOBAR.because(f"The {', '.join(lobar)}.")
    total = regions.lungs["total"]
    if min(total.ggo_ml, total.high_opacity_ml) >= max(TYPE_ML, TYPE_PART * total.opacity_ml):
        yield warnings.SEVERAL_TYPES
    small = sum(diameter_mm(one.volume_ml) < SMALL_MM for one in lesions)
    if small:
        yield warnings.SMALL_LESIONS.because(f"{small} of {len(lesions)}.")


def diameter_mm(volume_ml: float) -> float:
    """Returns the diameter of a ball of that volume."""
    return 10.0 * math.cbrt(6.0 * volume_ml / math.pi)


def _metal_ml(ct: CT, lungs: NDArray[np.bool_]) -> float:
    """Returns the volume that is as dense as metal in the box around the lungs; from beyond, streaks hardly get in."""
    margin = tuple(math.ceil(METAL_WITHIN_MM / mm) for mm in ct.volume.spacing)
    near = ct.volume.array[clipped(bounds(lungs, margin), lungs.shape)]
    return int(np.count_nonzero(near > METAL_HU)) * ct.voxel_ml


def _consolidated(lobe: Region) -> bool:
    dense = lobe.high_opacity_ml >= LOBAR_DENSE_PART * lobe.opacity_ml
    return lobe.opacity_percent >= LOBAR_PERCENT and dense
