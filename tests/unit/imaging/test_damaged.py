"""Bad slices in the middle of the lungs are refused by name; each fault is put into a phantom and found alone."""

from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest
from helpers import enhanced_ct, make_ct
from numpy.typing import NDArray
from pydicom import Dataset

from service.errors import Reason, Refusal, Rejected
from service.imaging.read import read_ct

BAD = range(40, 44)
"""Instance Numbers; one less are the indices."""

Pixels = NDArray[np.int16]


@pytest.fixture(scope="module")
def sound() -> list[Dataset]:
    return make_ct.make(findings=make_ct.FINDINGS).datasets


@pytest.fixture(scope="module")
def fine() -> list[Dataset]:
    return make_ct.make(rows=240, columns=320, pixel_mm=(1.2, 1.2)).datasets


def spoiled(sound: list[Dataset], change: Callable[[Pixels], Pixels], numbers: range = BAD) -> list[Dataset]:
    """The phantom with the stored pixels of some slices changed."""
    datasets = deepcopy(sound)
    for dataset in datasets[numbers.start - 1 : numbers.stop - 1]:
        pixels = np.frombuffer(dataset.PixelData, np.int16).reshape(dataset.Rows, dataset.Columns)
        dataset.PixelData = change(pixels.copy()).astype(np.int16).tobytes()
    return datasets


def refusals(datasets: list[Dataset]) -> tuple[Refusal, ...]:
    with pytest.raises(Rejected) as caught:
        read_ct(datasets)
    return caught.value.refusals


def lower_zero(pixels: Pixels) -> Pixels:
    pixels[60:] = 0
    return pixels


def noisy(pixels: Pixels) -> Pixels:
    return np.clip(pixels + np.random.default_rng(5).normal(0, 60, pixels.shape), 0, 4095)


def garbled(pixels: Pixels) -> Pixels:
    return np.random.default_rng(int(pixels.sum())).integers(0, 4000, pixels.shape, dtype=np.int16)


def of_asymmetric_body(pixels: Pixels) -> Pixels:
    return np.roll(pixels, 12, axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [BAD, range(40, 41), range(20, 21)], ids=["four", "one", "near the apex"])
@pytest.mark.parametrize(
    "change, reason, words",
    [
        (np.zeros_like, Reason.DAMAGED_SLICES, "Blank"),
        (lambda pixels: np.full_like(pixels, 1024), Reason.DAMAGED_SLICES, "Blank"),
        (lambda pixels: pixels + 1024, Reason.NOT_HU, "Other Hounsfield units"),
        (lambda pixels: pixels + 60, Reason.NOT_HU, "Other Hounsfield units"),
        (lambda pixels: pixels * 1.5, Reason.NOT_HU, "Other Hounsfield units"),
        (of_asymmetric_body, Reason.DAMAGED_SLICES, "Unlike"),
        (garbled, Reason.DAMAGED_SLICES, "Unlike"),
        (noisy, Reason.DAMAGED_SLICES, ("Much noisier", "Unlike")),
    ],
)
def test_bad_slices_are_named(
    sound: list[Dataset],
    numbers: range,
    change: Callable[[Pixels], Pixels],
    reason: Reason,
    words: str | tuple[str, ...],
) -> None:
    found = refusals(spoiled(sound, change, numbers))
    assert [refusal.reason for refusal in found] == [reason]
    last = f"-{numbers[-1]}" if len(numbers) > 1 else ""
    assert found[0].detail.startswith(words)
    assert f" {numbers[0]}{last} ({len(numbers)} of 88; z " in found[0].detail


def test_half_a_slice_is_not_enough(sound: list[Dataset]) -> None:
    (found,) = refusals(spoiled(sound, lower_zero, range(40, 41)))
    assert found.reason == Reason.DAMAGED_SLICES
    assert found.detail.startswith("Empty where their neighbours show the patient: slice 40 (")


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [range(40, 41), range(40, 43)], ids=["one", "three"])
def test_a_hole_in_a_slice_is_not_the_patient(fine: list[Dataset], numbers: range) -> None:
    (found,) = refusals(spoiled(fine, with_a_hole, numbers))
    assert found.reason == Reason.DAMAGED_SLICES and f"({len(numbers)} of 88; z " in found.detail


@pytest.mark.parametrize("first", [3, 12, 18, 70, 80])
def test_only_the_bad_slices_near_an_end_are_named(sound: list[Dataset], first: int) -> None:
    (found,) = refusals(spoiled(sound, lambda pixels: pixels + 1024, range(first, first + 4)))
    assert found.reason == Reason.NOT_HU and f" {first}-{first + 3} (4 of 88; z " in found.detail


@pytest.mark.parametrize("keyword, value", [("RescaleIntercept", "0"), ("RescaleSlope", "2")])
@pytest.mark.parametrize("first, upper", [(31, False), (45, False), (45, True)])
def test_half_of_the_stack_in_other_units(
    sound: list[Dataset], keyword: str, value: str, first: int, upper: bool
) -> None:
    datasets = deepcopy(sound)
    for dataset in datasets[: first - 1] if upper else datasets[first - 1 :]:
        setattr(dataset, keyword, value)
    (found,) = refusals(datasets)
    assert found.reason == Reason.NOT_HU
    assert found.detail.startswith(f"Other Hounsfield units than before from here on: slice {first} (1 of 88")


@pytest.mark.parametrize("start", [0, 1])
def test_every_second_slice_in_other_units_is_named(sound: list[Dataset], start: int) -> None:
    datasets = deepcopy(sound)
    for dataset in datasets[start::2]:
        dataset.RescaleIntercept = "0"
    found = refusals(datasets)[0]
    assert found.reason == Reason.NOT_HU and f"slices {start + 1}, {start + 3}, " in found.detail
    assert "(44 of 88" in found.detail


def test_slices_interpolated_between_two_are_of_one_kernel() -> None:
    slices = make_ct.make(slices=89, spacing_mm=2.5, noise_hu=30.0).datasets
    pixels = [np.frombuffer(dataset.PixelData, np.int16) for dataset in slices]
    for k in range(1, 88, 2):
        slices[k].PixelData = ((pixels[k - 1] + pixels[k + 1]) // 2).astype(np.int16).tobytes()
    assert read_ct(slices).flags == ()


def with_a_hole(pixels: Pixels) -> Pixels:
    pixels[100:150, 125:200] = 0
    return pixels


def test_pixels_sent_twice(sound: list[Dataset]) -> None:
    datasets = deepcopy(sound)
    datasets[50].PixelData = datasets[39].PixelData
    (found,) = refusals(datasets)
    assert found.reason == Reason.DAMAGED_SLICES and "slices 40, 51 (2 of 88" in found.detail


def test_slices_of_another_height(sound: list[Dataset]) -> None:
    datasets = deepcopy(sound)
    for one, (lower, _) in zip(datasets[39:42], pairwise(sound[64:68]), strict=True):
        one.PixelData = noise_added(lower.PixelData)
    assert [refusal.reason for refusal in refusals(datasets)] == [Reason.DAMAGED_SLICES]


def noise_added(pixels: bytes) -> bytes:
    return (
        (np.frombuffer(pixels, np.int16) + np.random.default_rng(1).integers(0, 2, len(pixels) // 2))
        .astype(np.int16)
        .tobytes()
    )


def test_an_intercept_of_another_value(sound: list[Dataset]) -> None:
    datasets = deepcopy(sound)
    for dataset in datasets[60:64]:
        dataset.RescaleIntercept = "0"
    (found,) = refusals(datasets)
    assert found.reason == Reason.NOT_HU and "slices 61-64 (4 of 88" in found.detail


def test_frames_of_a_multi_frame_ct_are_named(sound: list[Dataset]) -> None:
    (found,) = refusals([enhanced_ct.enhance(spoiled(sound, np.zeros_like))])
    assert found.reason == Reason.DAMAGED_SLICES and "slices 40-43 (4 of 88" in found.detail


def test_every_second_slice_of_another_kernel() -> None:
    soft, sharp = (make_ct.make(noise_hu=noise).datasets for noise in (12.0, 30.0))
    mixed = [pair[k % 2] for k, pair in enumerate(zip(soft, sharp, strict=True))]
    assert [refusal.reason for refusal in refusals(mixed)] == [Reason.MULTIPHASE]


def test_every_second_slice_of_another_patient() -> None:
    one, other = (make_ct.make(centre_mm=(x, -160.25, -700.5)).datasets for x in (4.5, 4.5))
    for dataset in other:
        pixels = np.frombuffer(dataset.PixelData, np.int16).reshape(dataset.Rows, dataset.Columns)
        dataset.PixelData = np.roll(pixels, 15, axis=1).tobytes()
    mixed = [pair[k % 2] for k, pair in enumerate(zip(one, other, strict=True))]
    assert [refusal.reason for refusal in refusals(mixed)] == [Reason.DAMAGED_SLICES]


def test_slopes_that_differ_are_legal(sound: list[Dataset]) -> None:
    assert read_ct(make_ct.make(slopes=(1.0, 0.5, 2.0)).datasets).volume.array.shape[0] == 88
