"""Kernels by the names that scanners write."""

import pytest

from service.pipelines.lung_density.kernels import Sharpness, sharpness


@pytest.mark.parametrize(
    ("kernels", "expected"),
    [
        (["B31f"], Sharpness.SOFT),
        (["D40s"], Sharpness.SOFT),
        (["Br40d", "3"], Sharpness.SOFT),
        (["Br59f", "3"], Sharpness.SHARP),
        (["B46f"], Sharpness.SHARP),
        (["b70f"], Sharpness.SHARP),
        (["STANDARD"], Sharpness.SOFT),
        ([" lung "], Sharpness.SHARP),
        (["BONEPLUS"], Sharpness.SHARP),
        (["B"], Sharpness.SOFT),
        (["YC"], Sharpness.SHARP),
        (["FC08"], Sharpness.SOFT),
        (["FC51"], Sharpness.SHARP),
        (["FC21"], Sharpness.UNKNOWN),
        (["CHEST"], Sharpness.UNKNOWN),
        (["C"], Sharpness.UNKNOWN),
        ([""], Sharpness.UNKNOWN),
        ([], Sharpness.UNKNOWN),
        (["STANDARD", "LUNG"], Sharpness.SHARP),
    ],
)
def test_sharpness(kernels: list[str], expected: Sharpness) -> None:
    assert sharpness(kernels) is expected
