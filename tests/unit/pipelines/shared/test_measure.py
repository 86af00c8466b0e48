"""Millilitres, percentages and mean HU against phantoms whose truth is known."""

import numpy as np
import pytest
from helpers import make_ct
from helpers.phantom import FINDING_HU, LUNG_HU
from scipy import ndimage

from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES, Lobe
from service.imaging.read import read_ct
from service.pipelines.shared.measure import HIGH_OPACITY_HU, measure, split_by_attenuation
from service.pipelines.shared.opacities import Opacity


@pytest.mark.parametrize("orientation", ["HFS", "FFP", "HFDR"])
def test_phantom_within_one_percent(orientation: str) -> None:
    phantom = make_ct.make(orientation=orientation, findings=make_ct.FINDINGS)
    ct, truth = read_ct(phantom.datasets), phantom.truth
    findings = split_by_attenuation(ct.volume.array, truth.finding_mask > 0, ct.volume.spacing[1:])
    assert np.array_equal(findings, truth.finding_mask)
    found = measure(ct.volume.array, truth.lobe_mask, findings, ct.voxel_ml)
    assert found.lungs["right"].volume_ml == pytest.approx(truth.right_lung_ml, rel=0.01)
    assert found.lungs["left"].volume_ml == pytest.approx(truth.left_lung_ml, rel=0.01)
    assert found.lungs["total"].volume_ml == pytest.approx(truth.right_lung_ml + truth.left_lung_ml, rel=0.01)
    for lobe in Lobe:
        assert found.lobes[lobe].volume_ml == pytest.approx(truth.lobe_ml(lobe))
    for kind, ml in truth.findings_ml.items():
        assert found.opacities[kind].volume_ml == pytest.approx(ml, rel=0.01)
        assert found.opacities[kind].mean_hu == pytest.approx(FINDING_HU[kind], abs=2)
        lungs_ml = found.lungs["total"].volume_ml
        assert found.opacities[kind].percent_of_lungs == pytest.approx(100 * ml / lungs_ml, rel=0.01)


def test_lungs_are_the_sum_of_their_lobes() -> None:
    phantom = make_ct.make(findings=make_ct.FINDINGS)
    truth = phantom.truth
    found = measure(read_ct(phantom.datasets).volume.array, truth.lobe_mask, truth.finding_mask, truth.voxel_ml)
    for side, lobes in {"right": RIGHT_LOBES, "left": LEFT_LOBES, "total": tuple(Lobe)}.items():
        for what in ("volume_ml", "ggo_ml", "high_opacity_ml"):
            assert getattr(found.lungs[side], what) == pytest.approx(sum(getattr(found.lobes[x], what) for x in lobes))
    assert found.lobes[Lobe.RLL].ggo_ml == pytest.approx(60, rel=0.01)
    assert found.lobes[Lobe.RUL].opacity_ml == 0
    assert found.lobes[Lobe.RUL].mean_hu == pytest.approx(LUNG_HU, abs=1)


def test_empty_regions_have_no_mean() -> None:
    nothing = np.zeros((2, 3, 4), np.uint8)
    found = measure(np.zeros((2, 3, 4), np.float32), nothing, nothing, 0.5)
    assert found.lobes[Lobe.RML].mean_hu is None
    assert found.opacities[Opacity.GROUND_GLASS].mean_hu is None
    assert found.opacities[Opacity.GROUND_GLASS].percent_of_lungs == 0


def test_a_finding_outside_the_lungs_is_an_error() -> None:
    findings = np.zeros((2, 3, 4), np.uint8)
    findings[1, 2, 3] = Opacity.GROUND_GLASS
    with pytest.raises(ValueError, match="outside the lungs"):
        measure(np.zeros((2, 3, 4), np.float32), np.zeros((2, 3, 4), np.uint8), findings, 0.5)


def test_the_attenuation_limit_and_what_it_averages_over() -> None:
    opacity = np.ones((1, 9, 9), np.bool_)
    opacity[0, :, 5:] = False
    hu = np.full((1, 9, 9), HIGH_OPACITY_HU, np.float32)
    hu[0, :, 5:] = -1000.0  # aerated lung beside it shifts nothing
    assert (split_by_attenuation(hu, opacity, (1.0, 1.0))[opacity] == Opacity.HIGH_OPACITY).all()
    hu[0, 4, 2] = -200.0 - 1000.0  # one dark pixel is averaged with its neighbours
    labels = split_by_attenuation(hu, opacity, (1.0, 1.0))
    assert labels[0, 4, 2] == Opacity.GROUND_GLASS
    assert labels[0, 0, 0] == Opacity.HIGH_OPACITY
    assert not labels[~opacity].any()


@pytest.mark.parametrize("corner", [(14, 12), (0, 0), (28, 24)])
def test_the_box_around_an_opacity_changes_nothing(corner: tuple[int, int]) -> None:
    random = np.random.default_rng(2)
    hu = random.normal(HIGH_OPACITY_HU, 200.0, (40, 40)).astype(np.float32)
    opacity = np.zeros((40, 40), np.bool_)
    row, column = corner
    opacity[row : row + 12, column : column + 16] = random.random((12, 16)) < 0.7
    sigma = (1.0 / 0.7, 1.0 / 0.8)
    weight, total = (
        ndimage.gaussian_filter(part.astype(np.float32), sigma, truncate=3.0) for part in (opacity, hu * opacity)
    )
    expected = np.where(total >= HIGH_OPACITY_HU * weight, Opacity.HIGH_OPACITY, Opacity.GROUND_GLASS) * opacity
    assert np.array_equal(split_by_attenuation(hu[None], opacity[None], (0.7, 0.8))[0], expected)
