"""Slice thickness and dose, where classic and multi-frame CTs keep them, and damaged."""

from typing import Any

import pytest
from helpers import enhanced_ct, make_ct
from pydicom import Dataset

from service.domain.ct import CT
from service.imaging.read import read_ct
from service.pipelines.lung_density import flags as warnings
from service.pipelines.lung_density.acquisition import ctdi_vol_mgy, doubts, slice_thickness_mm
from service.pipelines.lung_density.pipeline import LungDensity
from service.pipelines.lung_density.trachea import TracheaAir

GOOD_AIR = TracheaAir(-990.0, 15.0)


def slices(**attributes: Any) -> list[Dataset]:
    return make_ct.make(slices=6, spacing_mm=2.5, attributes=attributes).datasets


def read(datasets: list[Dataset]) -> CT:
    return read_ct(datasets)


def test_the_thickest_slice_and_the_median_dose_of_a_classic_ct_count() -> None:
    datasets = slices()
    for number, dataset in enumerate(datasets):
        dataset.SliceThickness, dataset.CTDIvol = (2.0 if number == 3 else 1.0), 2.0 + number
    ct = read(datasets)
    assert (slice_thickness_mm(ct), ctdi_vol_mgy(ct)) == (2.0, 4.5)
    assert list(doubts(ct, GOOD_AIR)) == []


def test_a_multi_frame_ct_keeps_them_in_its_functional_groups() -> None:
    enhanced = enhanced_ct.enhance(slices(SliceThickness="3"))
    (shared,) = enhanced.SharedFunctionalGroupsSequence
    shared.CTExposureSequence[0].CTDIvol = 1.5
    ct = read([enhanced])
    assert (slice_thickness_mm(ct), ctdi_vol_mgy(ct)) == (3.0, 1.5)
    raised = list(doubts(ct, GOOD_AIR))
    assert raised == [warnings.SLICES_AVERAGE, warnings.LOW_DOSE]
    assert [flag.detail for flag in raised] == ["3.0 mm, above 2 mm.", "CTDIvol 1.50 mGy, below 3 mGy."]


@pytest.mark.parametrize("thickness", [None, "0"])
def test_without_a_thickness_the_distance_of_the_slices_counts(thickness: str | None) -> None:
    ct = read(slices(SliceThickness=thickness))
    assert slice_thickness_mm(ct) == 2.5 and ctdi_vol_mgy(ct) is None
    assert list(doubts(ct, GOOD_AIR)) == [warnings.SLICES_AVERAGE]


@pytest.mark.parametrize(
    ("attributes", "air", "detail"),
    [
        ({"CTDIvol": 2.97}, GOOD_AIR, "CTDIvol 2.97 mGy, below 3 mGy."),
        ({}, TracheaAir(-990.0, 30.04), "Standard deviation 30.04 HU in the trachea, above 30 HU."),
        ({}, TracheaAir(-961.6, 14.0), "-961.6 HU, not -1018 to -962 HU."),
        ({}, TracheaAir(-1018.04, 14.0), "-1018.04 HU, not -1018 to -962 HU."),
    ],
)
def test_a_value_is_told_beside_the_limit_that_it_passed(
    attributes: dict[str, float], air: TracheaAir, detail: str
) -> None:
    (flag,) = doubts(read(slices(SliceThickness="1", **attributes)), air)
    assert flag.detail == detail


def test_a_soft_thin_reconstruction_is_preferred_to_a_sharp_or_a_thick_one() -> None:
    order = [(("Br36d",), 1.25), (("CHEST",), 1.0), (("Br64d",), 1.25), (("Br36d",), 2.5)]
    assert [LungDensity().preference(*one) for one in order] == [0, 1, 2, 3]
    assert LungDensity().preference(("Br36d",), 2.0) == 0
