"""Kernels by the names that scanners write."""

import pytest

from service.pipelines.lung_density.kernels import Sharpness, is_iterative, sharpness


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
        (["B10f"], Sharpness.UNKNOWN),
        (["Br36d3"], Sharpness.SOFT),
        (["FC03"], Sharpness.SOFT),
        (["FC13-H"], Sharpness.SOFT),
        (["FC08"], Sharpness.UNKNOWN),
        (["FC18-H"], Sharpness.UNKNOWN),
        (["FC51-H"], Sharpness.SHARP),
        (["STND"], Sharpness.SOFT),
        (["BONE+"], Sharpness.SHARP),
        (["LUNG+"], Sharpness.SHARP),
        (["B_SOFT_B"], Sharpness.SOFT),
        (["B_SHARP_C"], Sharpness.SHARP),
        (["LUNG_A"], Sharpness.SHARP),
        (["B_ELSE_C"], Sharpness.UNKNOWN),
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


@pytest.mark.parametrize(
    ("kernels", "expected"),
    [
        (["I31f", "3"], True),
        (["I31f"], True),
        (["J30s", "5"], True),
        (["Q40f"], True),
        (["Br40d", "3"], True),
        (["Br36d3"], True),
        (["STANDARD", "AR50"], True),
        (["Qr40d"], False),
        (["Br40d"], False),
        (["B31f"], False),
        (["3"], False),
        ([], False),
    ],
)
def test_an_iterative_reconstruction_is_told_by_its_kernel(kernels: list[str], expected: bool) -> None:
    assert is_iterative(kernels) is expected
