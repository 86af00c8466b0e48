"""What the attenuation of a region tells, against numbers known by construction and against NumPy."""

import numpy as np
import pytest
from numpy.typing import NDArray

from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES, Lobe
from service.pipelines.lung_density import segments
from service.pipelines.lung_density.measure import Attenuation, Region, measure


def told(region: Region) -> Attenuation:
    assert region.attenuation is not None
    return region.attenuation


def of(values: list[float], dtype: type = np.int16) -> Attenuation:
    """Of a lobe with these voxels."""
    hu = np.array(values, dtype).reshape(1, 1, -1)
    return told(measure(hu, np.full(hu.shape, Lobe.RUL, np.uint8), 1.0).lobes[Lobe.RUL])


def test_limits_belong_to_the_side_that_the_definition_says() -> None:
    found = of([-951, -950, -601, -600, -251, -250, -100, 40, 300, 3000])
    assert (found.laa_percent, found.haa_percent) == (10.0, 20.0)
    assert found.mean_hu == pytest.approx(-36.3)


def test_fractions_of_a_hounsfield_unit_stay_on_their_side_of_a_limit() -> None:
    """Where Rescale Slope is no whole number HU are float32."""
    found = of([-950.5, -949.5, -600.5, -599.5, -250.5, -249.5, -800.0, -800.0, -800.0, -800.0], np.float32)
    assert (found.laa_percent, found.haa_percent) == (10.0, 20.0)
    assert found.mean_hu == pytest.approx(-680.0)


def test_the_percentile_is_the_least_value_that_fifteen_percent_do_not_exceed() -> None:
    assert of(list(range(-1000, -900))).perc15_hu == -986.0
    assert of([-900] * 15 + [-800] * 85).perc15_hu == -900.0
    assert of([-900] * 14 + [-800] * 86).perc15_hu == -800.0
    assert of([-900]).pd15_g_per_l == 100.0


def test_the_percentile_of_fractions_is_the_next_whole_value_above() -> None:
    """The value below would be exceeded by all of them: up to 1 g/L too near to emphysema."""
    assert of([-909.1] * 20, np.float32).perc15_hu == -909.0
    assert of([-909.1] * 14 + [-909.0] * 86, np.float32).perc15_hu == -909.0
    assert of([-909.1] * 14 + [-908.9] * 86, np.float32).perc15_hu == -908.0
    assert of([-1024.0] * 20, np.float32).perc15_hu == -1024.0
    assert of([2000.5] * 20, np.float32).perc15_hu == 1023.0


def lungs() -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Lobes of different sizes, each with its own distribution, mixed up in space; a part is no lung."""
    random = np.random.default_rng(7)
    labels = random.choice(6, (12, 40, 50), p=[0.3, 0.2, 0.05, 0.2, 0.15, 0.1]).astype(np.uint8)
    hu = np.rint(random.normal(-870.0 + 15.0 * labels, 60.0 + 5.0 * labels, labels.shape)).clip(-1024, 3000)
    hu[labels == 0] = 40
    return hu.astype(np.int16), labels


def expected(values: NDArray[np.int16]) -> Attenuation:
    return Attenuation(
        laa_percent=100.0 * np.mean(values < -950),
        perc15_hu=np.percentile(values, 15, method="inverted_cdf"),
        mean_hu=values.mean(dtype=np.float64),
        haa_percent=100.0 * np.mean((values >= -600) & (values < -250)),
    )


def assert_equal(found: Attenuation, wanted: Attenuation) -> None:
    for name in ("laa_percent", "perc15_hu", "mean_hu", "haa_percent"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), rel=1e-12), name


def test_every_lobe_and_lung_has_the_numbers_of_its_voxels() -> None:
    hu, labels = lungs()
    found = measure(hu, labels, 0.5)
    for lobe in Lobe:
        assert_equal(told(found.lobes[lobe]), expected(hu[labels == lobe]))
        assert found.lobes[lobe].volume_ml == np.count_nonzero(labels == lobe) * 0.5
    for side, lobes in (("right", RIGHT_LOBES), ("left", LEFT_LOBES), ("total", tuple(Lobe))):
        assert_equal(told(found.lungs[side]), expected(hu[np.isin(labels, lobes)]))
    assert found.total is found.lungs["total"]


def test_a_lobe_without_voxels_has_a_volume_of_zero_and_no_density() -> None:
    hu, labels = lungs()
    labels[labels == Lobe.RML] = Lobe.RUL
    empty = measure(hu, labels, 0.5).lobes[Lobe.RML]
    assert (empty.volume_ml, empty.attenuation) == (0.0, None)


def test_areas_are_the_voxels_that_the_percentages_count() -> None:
    hu, labels = lungs()
    found, areas = told(measure(hu, labels, 1.0).total), segments.label_map(hu, labels).labels
    voxels = np.count_nonzero(labels)
    assert 100.0 * np.count_nonzero(areas == segments.LAA.label) / voxels == pytest.approx(found.laa_percent)
    assert 100.0 * np.count_nonzero(areas == segments.HAA.label) / voxels == pytest.approx(found.haa_percent)
    assert not areas[labels == 0].any()
