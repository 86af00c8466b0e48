"""Lungs of real CTs: without the trachea, without gas of the bowel."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from helpers.shared_data import shared_data
from pydicom import dcmread

from service.domain.flags import GAS_LEFT_OUT
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
