"""What the paper is known to fail on is told, where the CT or the result shows it."""

import highdicom as hd
import numpy as np
import pytest

from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.pipelines.covid_triage.failures import METAL_HU, METAL_ML, diameter_mm, known_failures
from service.pipelines.covid_triage.lesions import Lesion
from service.pipelines.shared.measure import Measurements, Region, measure
from service.pipelines.shared.opacities import Opacity

SHAPE = (40, 60, 80)


def ct(metal: tuple[slice, slice, slice] | None = None, hu: float = METAL_HU + 50) -> CT:
    """Lung of 1 mm voxels within soft tissue, 3 cm of it to the right."""
    array = np.full(SHAPE, -850, np.float32)
    array[:, :, :35] = 40
    if metal is not None:
        array[metal] = hu
    return CT((), hd.Volume(array, np.eye(4), coordinate_system="PATIENT"))


def lungs() -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[5:35, 10:50, 40:70] = Lobe.LUL
    mask[5:35, 10:50, 70:] = Lobe.LLL
    return mask


def regions(kinds: np.ndarray | None = None) -> Measurements:
    none = np.zeros(SHAPE, np.uint8)
    return measure(ct().volume.array, lungs(), none if kinds is None else kinds, 0.001)


def lesion(volume_ml: float) -> Lesion:
    return Lesion(1, volume_ml, Lobe.LUL, -500.0, (slice(0, 1),) * 3)


def told(scan: CT, found: Measurements, *lesions: Lesion) -> dict[str, str]:
    return {flag.code: flag.detail for flag in known_failures(scan, lungs() > 0, lesions, found)}


def test_a_clean_ct_with_a_large_lesion_has_no_warning() -> None:
    assert told(ct(), regions(), lesion(5.0)) == {}


def test_metal_near_the_lungs_is_told_from_half_a_millilitre() -> None:
    inside = (slice(10, 20), slice(20, 30), slice(15, 20))
    assert told(ct(inside), regions()) == {"METAL": "0.5 mL above 3000 HU."}
    assert told(ct((*inside[:2], slice(15, 19))), regions()) == {}, "less"
    assert told(ct(inside, METAL_HU), regions()) == {}, "not as dense"
    assert told(ct((slice(10, 20), slice(20, 30), slice(0, 9))), regions()) == {}, "far away"
    assert METAL_ML == 0.5


def test_a_lobe_that_is_nearly_consolidated_is_told_by_name() -> None:
    kinds = np.zeros(SHAPE, np.uint8)
    kinds[5:35, 10:42, 40:70] = Opacity.HIGH_OPACITY
    assert told(ct(), regions(kinds)) == {"LOBAR": "The left upper lobe."}
    kinds[5:35, 10:42, 40:70] = Opacity.GROUND_GLASS
    assert told(ct(), regions(kinds)) == {}, "ground glass is no lobar pneumonia"
    kinds[:] = 0
    kinds[5:35, 10:38, 40:70] = Opacity.HIGH_OPACITY
    assert told(ct(), regions(kinds)) == {}, "70 % of the lobe"


@pytest.mark.parametrize(("dense_rows", "several"), [(1, False), (2, False), (4, True), (16, True), (18, False)])
def test_both_types_are_told_where_each_is_a_fifth_and_a_millilitre(dense_rows: int, several: bool) -> None:
    kinds = np.zeros(SHAPE, np.uint8)
    kinds[5:35, 10:30, 40:70] = Opacity.GROUND_GLASS  # 20 rows of 0.9 mL
    kinds[5:35, 10 : 10 + dense_rows, 40:70] = Opacity.HIGH_OPACITY
    assert ("SEVERAL_TYPES" in told(ct(), regions(kinds))) is several


def test_lesions_below_a_centimetre_are_counted() -> None:
    assert diameter_mm(0.5236) == pytest.approx(10.0, abs=0.001)
    assert told(ct(), regions(), lesion(5.0), lesion(0.6), lesion(0.4), lesion(0.2)) == {"SMALL_LESIONS": "2 of 4."}


def test_an_empty_lobe_is_not_consolidated() -> None:
    empty = Region(0.0, 0.0, 0.0, None)
    assert empty.opacity_percent == 0.0
    assert regions().lobes[Lobe.RUL] == empty
