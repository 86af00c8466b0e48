"""The classifier's path from DICOM to a learned step. It says nothing of how good one would be: none is released."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import evidence_samples, make_ct
from helpers.phantom import LUNG_HU
from pytest import approx
from torch import Generator

from models.classifier import augment as augmentation
from models.classifier import data
from models.classifier import train as training
from models.classifier.augment import augment, smooth_noise
from models.classifier.data import Case, load, on_network_grid, read_list
from models.classifier.train import CLASSES, Classification, Config, seen, tensors
from models.networks.cnn3d_classifier import SHAPE, Cnn3dClassifier
from models.training import config, device
from models.training.loop import step_generator, train
from models.training.run import Run
from service.domain.analysis import Analysis
from service.domain.ct import CT
from service.domain.ports import Backend, Progress
from service.errors import Rejected
from service.imaging.read import read_ct

SMALL = (16, 32, 32)


def settings(**changes: Any) -> Config:
    return config.read(Config, training.HERE / "train.toml", changes)


def cases(count: int = 6, shape: tuple[int, ...] = SMALL) -> list[Case]:
    random = np.random.default_rng(0)
    lungs = np.zeros(shape, np.uint8)
    lungs[4:-4, 8:-8, 8:-8] = 1
    return [
        Case(CLASSES[k % 3], random.integers(-1024, 400, shape).astype(np.int16), lungs, str(k)) for k in range(count)
    ]


def generators() -> list[Generator]:
    return [Generator().manual_seed(seed) for seed in range(20)]


def blob(shape: tuple[int, ...] = (32, 48, 64)) -> tuple[torch.Tensor, torch.Tensor]:
    """A smooth bright ball off the middle, and the mask of where it is at least half bright."""
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    centre, radii = (12, 20, 40), (4.0, 8.0, 8.0)
    distance = sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True))
    image = torch.from_numpy(np.exp2(-distance)).float()[None]
    return image, (image >= 0.5).float()


def test_masks_move_with_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "NOISE_VARIANCE", (0.0, 0.0))
    image, mask = blob()
    moves = 0
    for random in generators():
        moved, lungs = augment(image, mask, random)
        assert moved.shape == lungs.shape == image.shape
        assert set(lungs.unique().tolist()) == {0.0, 1.0}
        bright = moved >= 0.5
        overlap = 2 * (bright & (lungs > 0)).sum() / (bright.sum() + lungs.sum())
        assert overlap > 0.9
        moves += int((bright & (mask > 0)).sum() < 0.5 * bright.sum())
    assert moves > 5, "hardly any case was moved or mirrored"


def test_the_same_generator_gives_the_same_case_and_another_another() -> None:
    image, mask = blob()
    first, again, other = (augment(image, mask, Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def still(monkeypatch: pytest.MonkeyPatch, *keep: str) -> None:
    """Switch every change off but those of `keep`."""
    off = {
        "NOISE_VARIANCE": (0.0, 0.0),
        "ROTATION_DEG": 0.0,
        "SCALE": (1.0, 1.0),
        "ELASTIC_ALPHA": (0.0, 0.0),
        "MIRROR": 0.0,
    }
    for name, value in off.items():
        if name not in keep:
            monkeypatch.setattr(augmentation, name, value)


def test_without_any_change_a_case_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch)
    image, mask = blob()
    moved, lungs = augment(image, mask, Generator())
    assert torch.allclose(moved, image, atol=1e-5)
    assert torch.equal(lungs, mask)


def test_mirrors_turn_slices_and_rows_and_never_left_and_right(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch, "MIRROR")
    image, mask = blob()
    mirrored = {axes: torch.flip(mask, axes) for axes in ((), (1,), (2,), (1, 2))}
    found = set()
    for random in generators():
        _, lungs = augment(image, mask, random)
        found |= {axes for axes, expected in mirrored.items() if torch.equal(lungs, expected)}
        assert any(torch.equal(lungs, expected) for expected in mirrored.values())
    assert found == set(mirrored)


def test_scale_stays_between_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch, "SCALE")
    image, mask = blob()
    grown = [float((augment(image, mask, random)[1].sum() / mask.sum()) ** (1 / 3)) for random in generators()]
    assert 0.88 < min(grown) < 0.95
    assert 1.05 < max(grown) < 1.12


def test_rotation_stays_below_its_limit_and_keeps_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch, "ROTATION_DEG")
    monkeypatch.setattr(augmentation, "VOXEL_MM", (2.0, 1.0, 1.0))
    bar = torch.zeros((1, 33, 65, 65))
    bar[:, 16, 32, 4:61] = 1  # along the columns through the middle
    bar = torch.nn.functional.max_pool3d(bar, 3, 1, 1)
    angles = []
    for random in generators():
        _, lungs = augment(bar, bar, random)
        z, y, x = (axis.float() for axis in torch.nonzero(lungs[0], as_tuple=True))
        direction = torch.linalg.svd(torch.stack([2 * (z - 16), y - 32, x - 32], 1), full_matrices=False).Vh[0]
        angles.append(float(torch.rad2deg(torch.arccos(direction[2].abs().clamp(max=1)))))
        assert float(lungs.sum()) == approx(float(bar.sum()), rel=0.1)
    assert max(angles) < augmentation.ROTATION_DEG * 2**0.5 + 1.5
    assert max(angles) > 5


def test_noise_has_the_variance_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch, "NOISE_VARIANCE")
    image, mask = blob()
    variance = [float((augment(image, mask, random)[0] - image).var()) for random in generators()]
    assert 0.0 <= min(variance) < 0.003
    assert 0.012 < max(variance) < 0.0155


@pytest.mark.parametrize("sigma", [8.0, 13.0])
def test_displacements_are_those_of_noise_smoothed_on_the_fine_grid(sigma: float) -> None:
    shape = torch.Size((64, 96, 96))
    found = torch.stack([smooth_noise(shape, sigma, random) for random in generators()])
    assert found.shape == (20, 3, *shape)
    inside = found[..., 16:-16, 24:-24, 24:-24]
    expected = (1 / 3) ** 0.5 / (2 * np.pi**0.5 * sigma) ** 1.5  # of white noise after a Gaussian in three dimensions
    assert float(inside.square().mean().sqrt()) == approx(expected, rel=0.15)
    assert float((inside.diff(dim=-1)).square().mean().sqrt()) == approx(expected / (2**0.5 * sigma), rel=0.2)


class LungsAsLobe:
    """A pipeline that needs no model: all that is as thin as lung is one lobe."""

    name = "lungs-as-lobe"
    models = ()

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        mask = ((ct.volume.array < -700) & (ct.volume.array > -950)).astype("uint8")
        return evidence_samples.analysis_of(ct, mask, 0 * mask)


class NoBackend:
    """`LungsAsLobe` asks nothing of it."""


@pytest.mark.parametrize("orientation", ["HFS", "FFP"])
def test_any_position_gives_the_same_grid(orientation: str) -> None:
    ct = read_ct(make_ct.make(orientation=orientation).datasets)
    hu, lungs = on_network_grid(ct.volume, (ct.volume.array < -700) & (ct.volume.array > -950))
    assert (hu.shape, hu.dtype, lungs.shape, lungs.dtype) == (SHAPE, np.int16, SHAPE, np.uint8)
    assert np.median(hu[lungs > 0]) == approx(LUNG_HU, abs=2)
    right, left = lungs[:, :, :112].sum(), lungs[:, :, 112:].sum()
    assert right > 1.1 * left > 0  # the phantom's right lung has 1751 mL, its left 1445
    image, mask = tensors(Case(CLASSES[0], hu, lungs, ""))
    inside = seen(image, mask)
    assert inside[mask == 0].abs().max() == 0
    assert inside[mask > 0].median().item() == approx((LUNG_HU + 1250) / 1500, abs=0.002)


def written(folder: Path, lines: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cases.csv").write_text("\n".join(["folder,label,part", *lines]) + "\n")
    return folder


def phantom(folder: Path, patient: str, **options: Any) -> None:
    make_ct.write(make_ct.make(attributes={"PatientID": patient}, **options).datasets, folder)


def test_cases_come_from_dicom_and_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["a/1,COVID_19,train", "b,NONE,validation", "few,OTHER,train", "nowhere,OTHER,train"]
    folder, kept = written(tmp_path / "data", lines), tmp_path / "kept"
    phantom(folder / "a/1", "A")
    phantom(folder / "b", "B")
    phantom(folder / "few", "C", slices=10)
    first = load(folder, kept, LungsAsLobe(), NoBackend())
    assert [(part, case.patient, case.label.name) for part, found in first.items() for case in found] == [
        ("train", "A", "COVID_19"),
        ("validation", "B", "NONE"),
    ]
    out = capsys.readouterr().out
    assert "left out few: " in out
    assert "left out nowhere: " in out
    for path in (folder / "a/1").iterdir():
        path.unlink()
    again = load(folder, kept, LungsAsLobe(), NoBackend())
    assert np.array_equal(again["train"][0].hu, first["train"][0].hu)
    assert again["train"][0].lungs.any()


def test_a_patient_in_both_parts_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path, ["a,COVID_19,train", "b,NONE,validation"])
    for name in "ab":
        phantom(folder / name, "A")
    with pytest.raises(SystemExit, match="1 patients are in train and in validation"):
        load(folder, tmp_path / "kept", LungsAsLobe(), NoBackend())


def test_a_series_that_the_gate_refuses_is_refused(tmp_path: Path) -> None:
    phantom(tmp_path, "A", slices=10)
    with pytest.raises(Rejected, match="too few"):
        data.prepare(tmp_path, CLASSES[0], LungsAsLobe(), NoBackend())


@pytest.mark.parametrize("line", [",NONE,train", "a,PNEUMONIA,train", "a,NONE,test", "a"])
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(SystemExit, match="line 3: folder, label"):
        read_list(written(tmp_path, ["a,NONE,train", line]) / "cases.csv")


def test_a_step_sees_every_class_equally_often_and_nothing_outside_the_lungs() -> None:
    many = [case for case in cases(30) for _ in range(1 if case.label is CLASSES[0] else 4)]
    task = Classification(settings(batch=60), many, cases(3))
    images, classes = task.batch(0, step_generator(1, 0))
    assert images.shape == (60, 1, *SMALL)
    assert images[:, :, 0].abs().max() == 0  # the phantom's lungs never reach the first slice
    assert classes.sum() == 60
    assert classes.sum(0).min() > 10


def test_two_steps_of_the_training(tmp_path: Path) -> None:
    task = Classification(settings(epochs=2, batch=3), cases(), cases(3))
    assert task.epoch_steps == 2
    run = Run.start(Cnn3dClassifier, task.config, 2, tmp_path, device.use("cpu"))
    before = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
    train(run, task, 2, 2)
    after = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert [name for name in before if torch.equal(before[name], after[name])] == []
    (line,) = [json.loads(text) for text in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert line["held_out"].keys() == {"validation loss", "accuracy"}
    assert run.optimiser.param_groups[0]["lr"] == 1e-4


def test_training_without_all_classes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"train": cases(2), "validation": cases(1)}
    monkeypatch.setattr(training, "load", lambda *ignored: parts)
    monkeypatch.setattr("sys.argv", ["train", "--data", str(tmp_path), "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="all three classes"):
        training.main()
