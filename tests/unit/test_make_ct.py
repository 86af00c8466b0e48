"""The phantom itself: what other tests rely on."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers import enhanced_ct, make_ct
from helpers.shared_data import tool
from pydicom import Dataset

from service.domain.anatomy import Lobe
from service.pipelines.shared.opacities import Opacity


def test_voxels_hold_the_known_volumes() -> None:
    truth = make_ct.make(findings=make_ct.FINDINGS, slices=200, spacing_mm=1.1).truth
    assert truth.right_lung_mask.sum() * truth.voxel_ml == pytest.approx(truth.right_lung_ml, rel=0.005)
    assert truth.left_lung_mask.sum() * truth.voxel_ml == pytest.approx(truth.left_lung_ml, rel=0.005)
    assert truth.findings_ml == {Opacity.GROUND_GLASS: 90.0, Opacity.HIGH_OPACITY: 40.0}
    for finding, ml in truth.findings_ml.items():
        assert (truth.finding_mask == finding).sum() * truth.voxel_ml == pytest.approx(ml, rel=0.02)
    assert all(truth.lobe_ml(lobe) > 100 for lobe in Lobe)


@pytest.mark.slow
def test_right_lung_lies_on_the_patients_right() -> None:
    for orientation in make_ct.ORIENTATIONS:
        truth = make_ct.make(orientation=orientation).truth
        right = truth.affine @ [*np.argwhere(truth.right_lung_mask).mean(axis=0), 1]
        left = truth.affine @ [*np.argwhere(truth.left_lung_mask).mean(axis=0), 1]
        assert right[0] < left[0] - 100


@pytest.mark.slow
def test_positions_show_the_same_patient() -> None:
    masks = {o: make_ct.make(orientation=o).truth.lobe_mask for o in ("HFS", "HFP", "FFS", "FFP")}
    assert np.array_equal(masks["HFP"], masks["HFS"][:, ::-1, ::-1])
    assert np.array_equal(masks["FFS"], masks["HFS"][::-1, :, ::-1])
    assert np.array_equal(masks["FFP"], masks["HFS"][::-1, ::-1, :])


def test_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (make_ct.write(make_ct.make(slices=2).datasets, tmp_path / name) for name in "ab")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert (
        make_ct.make(slices=2, seed=1).datasets[0].SOPInstanceUID != make_ct.make(slices=2).datasets[0].SOPInstanceUID
    )


def test_series_of_one_study() -> None:
    one, two = (make_ct.make(slices=1, study="s", seed=seed).datasets[0] for seed in (1, 2))
    assert one.StudyInstanceUID == two.StudyInstanceUID and one.SeriesInstanceUID != two.SeriesInstanceUID


@pytest.mark.peers
@pytest.mark.parametrize("kind", ["classic", "padded", "enhanced"])
def test_is_valid_dicom(kind: str, tmp_path: Path) -> None:
    dciodvfy = tool("dciodvfy")
    slices = make_ct.make(slices=3, padding=kind == "padded").datasets
    datasets: list[Dataset] = [enhanced_ct.enhance(slices)] if kind == "enhanced" else slices
    for path in make_ct.write(datasets, tmp_path):
        said = subprocess.run([dciodvfy, str(path)], capture_output=True, text=True, check=False).stderr
        assert [line for line in said.splitlines() if line.startswith("Error")] == []
