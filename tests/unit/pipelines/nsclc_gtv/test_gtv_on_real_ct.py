"""The demo CT by the released networks, beside the outline that an expert drew in it.

The outline was not learned from. The limits are wide: what is tested is that everything lies where it belongs.
"""

import json
from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np
import pytest
from helpers.shared_data import shared_data
from numpy.typing import NDArray
from pydicom import dcmread

from demo.tumour import EXPERT
from service.domain.analysis import Analysis
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.domain.ports import unheard
from service.imaging.diameters import diameters
from service.imaging.harmonise import resample_like
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.nsclc_gtv.pipeline import NsclcGtv
from service.pipelines.shared.lobe_segments import site
from service.settings import default_repository

pytestmark = pytest.mark.slow

DEMO = Path(__file__).resolve().parents[4] / "demo" / "ct"


@pytest.fixture(scope="module")
def analysed() -> tuple[CT, Analysis]:
    ct = read_ct([dcmread(path) for path in sorted(DEMO.glob("*.dcm"))])
    return ct, NsclcGtv().analyse(ct, OnnxBackend(default_repository()), unheard)


@pytest.fixture(scope="module")
def outlined() -> hd.Volume:
    """The expert's outline on all slices of the series: 255 inside."""
    found = hd.Volume.from_nibabel(nibabel.load(shared_data("dicom/rider-lung-tumour/tumour_manual.nii.gz")))
    return found.with_array((found.array > 0) * np.uint8(255))


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return 2.0 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def test_the_tumour_is_outlined_as_by_an_expert(analysed: tuple[CT, Analysis], outlined: hd.Volume) -> None:
    ct, found = analysed
    expert = resample_like(outlined, ct.volume) >= 128
    assert dice(found.label_map("tumour").labels == 1, expert) > 0.75
    gtv, told = found.group("GTV_1"), json.loads(EXPERT.read_text(encoding="utf-8"))
    assert gtv["volume_ml"] == pytest.approx(told["volume_ml"], rel=0.25)
    assert gtv["longest_diameter_mm"] == pytest.approx(told["longest_diameter_mm"], rel=0.2)
    assert gtv.site == site(Lobe.RUL) and gtv["pleura_distance_mm"] == 0.0
    line = next(one.line for one in gtv.measurements if one.name == "longest_diameter_mm")
    indices = np.rint(ct.volume.map_reference_to_indices(np.array([np.mean(line, axis=0)]))[0]).astype(int)
    assert expert[tuple(indices)], "the axis goes through the tumour"


def test_the_numbers_in_the_demo_are_those_of_the_outline(outlined: hd.Volume) -> None:
    volume = outlined.to_patient_orientation("FPL")
    mask = volume.array > 0
    found = diameters(mask, volume.spacing)
    told = json.loads(EXPERT.read_text(encoding="utf-8"))
    assert np.count_nonzero(mask) * volume.voxel_volume / 1000 == pytest.approx(told["volume_ml"], abs=0.05)
    assert found.longest.length_mm == pytest.approx(told["longest_diameter_mm"], abs=0.05)
    assert found.across.length_mm == pytest.approx(told["perpendicular_diameter_mm"], abs=0.05)
    assert found.in_space.length_mm == pytest.approx(told["longest_3d_diameter_mm"], abs=0.05)
