"""Lungs of real CTs: without the trachea, without gas of the bowel."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from helpers.shared_data import shared_data
from pydicom import dcmread

from models.lung_shape.evaluate import on_ct
from service.domain.flags import GAS_LEFT_OUT, LUNG_ADDED
from service.imaging.airways import airways
from service.imaging.lungs import HALF, Lungs
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.shared.lungs import SliceAnswers, lungs_of, slice_answers
from service.settings import default_repository

pytestmark = pytest.mark.slow


@cache
def found(name: str) -> tuple[SliceAnswers, Lungs]:
    folder: Path = shared_data(f"dicom/{name}")
    ct = read_ct([dcmread(path) for path in sorted(folder.glob("*.dcm"))])
    backend = OnnxBackend(default_repository())
    answers = slice_answers(ct, backend, lambda done: None)
    return answers, lungs_of(ct, answers, backend, lambda done: None)


@pytest.mark.parametrize("name", ["covid-ct-md/cap001", "rider-lung"])
def test_less_than_a_millilitre_of_trachea_and_main_bronchi_is_lung(name: str) -> None:
    answers, lungs = found(name)
    air = airways(answers.grid, answers.lung >= HALF)
    voxel_ml = float(answers.grid.voxel_volume) / 1000.0
    assert np.count_nonzero(air) * voxel_ml > 10.0
    assert np.count_nonzero(air & (lungs.on_model.array > 0)) * voxel_ml < 1.0


def test_gas_of_the_colon_is_no_lung() -> None:
    """In cap001 the splenic flexure lies in front on the left."""
    answers, lungs = found("covid-ct-md/cap001")
    colon = np.s_[74:, 70:110, 150:205]
    assert np.count_nonzero(answers.lung[colon] >= HALF) > 500, "the network takes it for lung"
    gas = answers.grid.array[colon] < -950
    assert not (gas & (lungs.on_model.array[colon] > 0)).any()
    assert GAS_LEFT_OUT in lungs.flags


def test_a_tumour_at_the_hilum_that_was_left_out_is_lung() -> None:
    """LUNG1-001: a tumour of the left hilum, the collapsed lingula beside it, and a dense apex on the right."""
    shared_data("train/lung1")
    case = on_ct(shared_data(""), "lung1/LUNG1-001", OnnxBackend(default_repository()))
    before, after = case["tumour_inside_percent"]
    assert before < 45.0 and after > 55.0
    assert 150.0 < case["added_ml"] < 250.0


@pytest.mark.parametrize("name", ["covid-ct-md/normal001", "rider-lung"])
def test_nothing_is_added_to_lungs_that_lack_no_mass(name: str) -> None:
    assert LUNG_ADDED not in found(name)[1].flags
