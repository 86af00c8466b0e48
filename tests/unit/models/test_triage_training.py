"""Volumes, patches, regions, their augmentation and the calibration of covid-triage do what their docstrings say."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
import torch
from pytest import approx

from models.networks.unet3d_plus_plus import Size, Unet3dPlusPlus
from models.training import config
from models.training.loop import step_generator, train
from models.training.run import Run
from models.triage_infection import train as classifying
from models.triage_infection.calibration import draw, reliability, temperature
from models.triage_infection.cross_validate import FOLDS as INFECTION_FOLDS
from models.triage_infection.regions import COVID, NONE, OTHER, Patient, class_of, lesions_of
from models.triage_infection.spec import REGION
from models.triage_infection.spec import SPEC as INFECTION
from models.triage_infection.to_onnx import to_onnx
from models.triage_lesion import train as segmenting
from models.triage_lesion.augment import augment, only_lung, placed, recut
from models.triage_lesion.cross_validate import FOLDS
from models.triage_lesion.data import CTS, FOUND, prepared
from models.triage_lesion.measure import measure
from models.triage_lesion.network import Served
from models.triage_lesion.spec import SPEC, WINDOW_HU
from models.triage_lesion.volumes import AIR_HU, Volume, load, save
from service.domain.ct import CT

CPU = torch.device("cpu")
TINY = Size(channels=(4, 4, 4, 4), fold=(1, 2, 2))


def volume(name: str = "medseg9/a", lesion: bool = True, known: bool = True) -> Volume:
    hu = np.full((50, 100, 100), 40, np.int16)
    lung = np.zeros(hu.shape, np.bool_)
    lung[5:45, 10:90, 10:90] = True
    hu[lung] = -856
    ill = np.zeros_like(lung)
    ill[20:28, 40:60, 40:60] = lesion
    ill[10, 20, 20] = lesion
    hu[ill] = -504
    return Volume(name, hu, lung, ill, np.full_like(lung, known))


def three() -> dict[str, Volume]:
    volumes = [volume(), volume("covid-ct-md/cap001", known=False), volume("rider-lung", lesion=False)]
    volumes[2].hu[30:34, 50:60, 50:60] = 0  # a nodule
    return {one.name: one for one in volumes}


def settings(module: Any, **changes: Any) -> Any:
    return config.read(module.Config, module.HERE / "train.toml", {"batch": 2, "steps": 2} | changes)


def test_no_fold_learns_what_it_is_measured_on_and_every_ct_is_held_out_once() -> None:
    assert sorted(name for fold in FOLDS for name in fold) == sorted(CTS)
    assert sorted(name for fold in INFECTION_FOLDS for name in fold) == sorted([*CTS, *FOUND])
    assert {"medseg9/vol2", "medseg9/vol3"} <= set(FOLDS[0]), "they are one patient's"


def test_what_is_told_of_normal_lungs_was_measured() -> None:
    metrics = json.loads((segmenting.HERE / "metrics.json").read_text(encoding="utf-8"))
    assert {"normal_percent": metrics["normal_percent"]} == SPEC.measured


def test_a_prepared_file_holds_the_volumes_in_steps_of_16_hu(tmp_path: Path) -> None:
    save([volume(), volume("b", lesion=False)], tmp_path / "a.npz")
    found = load(tmp_path / "a.npz")
    assert list(found) == ["medseg9/a", "b"]
    one = found["medseg9/a"]
    assert np.abs(one.hu.astype(int) - volume().hu).max() <= 8
    for name in ("lung", "lesion", "known"):
        assert np.array_equal(getattr(one, name), getattr(volume(), name))


def test_a_training_needs_no_reader_of_images() -> None:
    """A machine with a GPU and little else can train."""
    told = (
        "import sys, models.triage_lesion.train, models.triage_infection.train; "
        "print({'highdicom', 'pydicom', 'SimpleITK', 'nibabel', 'onnxruntime'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_preparing_resamples_cubically_onto_the_grid_and_keeps_a_margin_around_the_lungs() -> None:
    hu = np.full((40, 60, 60), -850.0, np.float32)
    affine = np.array([[0, 0, 2.0, 0], [0, 2.0, 0, 0], [-5.0, 0, 0, 0], [0, 0, 0, 1]])
    volume_ = hd.Volume(hu, affine, "PATIENT")
    mask = np.zeros(hu.shape, np.bool_)
    mask[10:30, 20:40, 15:45] = True
    lesion = np.zeros_like(mask)
    lesion[15:17, 25:35, 20:30] = True
    found = prepared("x", CT((), volume_), mask, lesion, np.ones_like(mask))
    mm = 2.5 * 1 * 1
    assert found.lung.sum() * mm == approx(mask.sum() * 20.0, rel=0.05)
    assert found.lesion.sum() * mm == approx(lesion.sum() * 20.0, rel=0.05)
    assert (found.hu[found.lung] == -850).all() and found.known.all()
    assert (found.hu == AIR_HU).any() and (found.hu == -850).sum() > found.lung.sum(), "a margin, and air beyond it"


def test_a_patch_that_is_not_changed_is_the_volume_itself() -> None:
    one = volume()
    masks = torch.from_numpy(np.stack([one.lung, one.lesion]).astype(np.uint8))
    centre = torch.tensor([24.5, 49.5, 49.5])
    hu, found = placed(torch.from_numpy(one.hu), masks, centre, one.hu.shape, torch.ones(3), None)
    assert np.abs(hu.numpy() - one.hu).max() < 0.1
    assert torch.equal(found, masks.float())
    beyond, _ = placed(torch.from_numpy(one.hu), masks, centre, (80, 32, 32), torch.ones(3), None)
    assert beyond[:14].max() == approx(AIR_HU, abs=0.01)
    _, found = placed(torch.from_numpy(one.hu), masks, centre, (25, 50, 50), 2 * torch.ones(3), None)
    assert found[0].sum() * 8 == approx(float(one.lung.sum()), rel=0.1)


def test_flips_and_zooms_keep_the_centre_and_masks_with_their_hu() -> None:
    one = volume()
    masks = torch.from_numpy(np.stack([one.lung, one.lesion]).astype(np.uint8))
    sizes = set()
    for seed in range(6):
        random = torch.Generator().manual_seed(seed)
        hu, (_, lesion) = placed(
            torch.from_numpy(one.hu), masks, torch.tensor([23.5, 49.5, 49.5]), (32, 64, 64), torch.ones(3), random
        )
        assert hu[16, 32, 32] == approx(-504, abs=2) and lesion[16, 32, 32] == 1
        assert hu[lesion > 0].max() < 0 and hu[lesion > 0].median() == approx(-504, abs=30)
        sizes.add(int(lesion.sum()))
    assert len(sizes) > 3


def test_lungs_are_cut_a_little_wider_or_tighter_and_all_else_is_air() -> None:
    one = volume()
    lung = torch.from_numpy(one.lung).float().expand(12, -1, -1, -1)
    cut = recut(lung, torch.Generator().manual_seed(0))
    sizes = cut.sum((1, 2, 3)) / lung[0].sum()
    assert 0.85 < sizes.min() < 1.0 < sizes.max() < 1.15
    hu = torch.from_numpy(one.hu).float().expand(12, -1, -1, -1)
    known = torch.from_numpy(one.lesion).float().expand(12, -1, -1, -1)
    found, seen, lesion = augment(
        hu[:, :40, :96, :96], lung[:, :40, :96, :96], known[:, :40, :96, :96], torch.Generator().manual_seed(1)
    )
    assert (found[seen == 0] == AIR_HU).all() and found[seen > 0].max() <= 400
    assert not (lesion * (1 - seen)).any()
    assert torch.equal(only_lung(hu, lung)[lung > 0], hu[lung > 0])


def test_batches_are_a_function_of_the_step_and_leave_out_what_is_not_known() -> None:
    task = segmenting.task(three(), settings(segmenting), CPU)
    assert len(task.sources) == 2, "nothing is known of cap001"
    first, lesion, weight = task.batch(0, step_generator(1, 0))
    again, *_ = task.batch(0, step_generator(1, 0))
    other, *_ = task.batch(1, step_generator(1, 1))
    assert first.shape == lesion.shape == weight.shape == (2, 1, 48, 96, 96)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert 0.0 <= first.min() < first.max() <= 1.0
    with pytest.raises(SystemExit, match="not in the prepared file: nobody; it holds medseg9/a"):
        segmenting.task(three(), settings(segmenting, held_out=["nobody"]), CPU)


def test_the_loss_counts_every_head_and_only_what_is_known() -> None:
    lesion, weight = torch.zeros(1, 1, 4, 4, 4), torch.ones(1, 1, 4, 4, 4)
    lesion[..., :2] = 1
    good = torch.where(lesion > 0, 9.0, -9.0).repeat(1, 3, 1, 1, 1)
    for head in range(3):
        worse = good.clone()
        worse[:, head] = -worse[:, head]
        assert segmenting.loss(worse, lesion, weight) > segmenting.loss(good, lesion, weight) + 1.0
    assert segmenting.loss(-good, lesion, torch.zeros_like(weight)) == approx(0.0)


def test_a_run_learns_and_measures_what_it_has_not_seen(tmp_path: Path) -> None:
    task = segmenting.task(three(), settings(segmenting, held_out=["rider-lung"]), CPU)
    run = Run.start(lambda: Unet3dPlusPlus(TINY), task.config, 2, tmp_path, CPU)
    train(run, task, 1, 2)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2] and set(lines[-1]["held_out"]) == {"rider-lung false percent"}


def test_what_is_measured_is_counted_within_the_lungs(monkeypatch: pytest.MonkeyPatch) -> None:
    one = volume()
    said = one.lesion | ~one.lung
    monkeypatch.setattr("models.triage_lesion.measure.probabilities", lambda network, volume: said.astype(np.float32))
    perfect = measure(Unet3dPlusPlus(TINY), one)
    assert (perfect["dice"], perfect["lesions"], perfect["lesions_found"]) == (1.0, 1, 1), "one voxel is no lesion"
    assert perfect["burden_percent"] == perfect["labelled_percent"] == approx(100 * 3201 / 256_000, abs=0.001)
    clear = measure(Unet3dPlusPlus(TINY), replace(one, lesion=np.zeros_like(one.lesion)))
    assert clear["false_percent"] == perfect["burden_percent"] and "dice" not in clear
    assert set(measure(Unet3dPlusPlus(TINY), replace(one, known=~one.lung & one.lung))) == {"burden_percent"}


def test_lesions_are_numbered_and_dense_lung_stands_for_them_where_there_is_no_infection() -> None:
    volumes = three()
    assert [class_of(name) for name in volumes] == [COVID, OTHER, NONE]
    numbers = lesions_of(volumes["medseg9/a"])
    assert numbers.max() == 1 and numbers[24, 50, 50] == 1 and numbers[10, 20, 20] == 0, "one voxel is no lesion"
    dense = lesions_of(volumes["rider-lung"])
    assert dense[31, 55, 55] > 0 and not (dense > 0)[~volumes["rider-lung"].lung].any()


def test_a_region_is_the_box_of_the_lesion_and_10_mm_whatever_its_size() -> None:
    one = volume()
    patient = Patient.of(one, CPU)
    hu, (lung, lesion) = patient.region(0)
    assert hu.shape == lung.shape == lesion.shape == REGION
    assert np.argwhere(lesion.numpy()).mean(0) == approx((np.array(REGION) - 1) / 2, abs=0.6)
    along = np.ptp(np.argwhere(lesion.numpy()), 0) + 1
    assert along / REGION == approx(np.array([20.0, 20.0, 20.0]) / 40.0, abs=0.03), "a lesion of 8 x 2.5, 20 and 20 mm"
    assert hu[lesion > 0].median() == approx(-504, abs=20)
    large = replace(one, lesion=one.lung.copy())
    _, (_, lesion) = Patient.of(large, CPU).region(0)
    assert lesion[24, 48, 48] == 1 and not lesion[0].any() and not lesion[:, :, 0].any()


def test_the_classifier_draws_every_class_and_learns(tmp_path: Path) -> None:
    volumes = three()
    task = classifying.task(volumes, settings(classifying, batch=8, held_out=["medseg9/a"]), CPU)
    regions, labels = task.batch(0, step_generator(1, 0))
    assert regions.shape == (8, 2, *REGION) and set(labels.tolist()) == {OTHER, NONE}
    assert set(regions[:, 1].unique().tolist()) == {0.0, 1.0}
    told = task.measure(classifying.build(task.config.network))
    assert set(told) == {"medseg9/a loss", "medseg9/a right"}


def test_the_temperature_makes_confidence_what_it_is_worth(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    truth = random.normal(0.0, 1.5, (400, 3))
    probability = np.exp(truth) / np.exp(truth).sum(1, keepdims=True)
    labels = np.array([random.choice(3, p=row) for row in probability])
    folds = {}
    for label in (COVID, NONE):
        logits = 4.0 * truth[labels == label]
        folds[f"ct{label}"] = {"label": label, "logits": logits.tolist()}
    folds["cap001"] = {"label": OTHER, "logits": [[50.0, -50.0, 0.0]] * 50}
    found = temperature(folds)
    assert 2.5 < found < 6.0
    assert reliability(folds, found)[1] < reliability(folds, 1.0)[1]
    draw(folds, found, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_the_served_lesion_graph_clips_rounds_and_has_the_channel_of_the_spec() -> None:
    torch.manual_seed(0)
    served = Served(Unet3dPlusPlus(TINY)).eval()
    hu = torch.randint(-1500, 3000, (2, 16, 32, 32), dtype=torch.int16)
    with torch.no_grad():
        probability, found = served(hu)
        clipped, _ = served(hu.clamp(*WINDOW_HU))
    assert found.shape == (2, 1, 16, 32, 32) and found.dtype == torch.uint8
    assert torch.equal(probability, clipped)
    assert (found.float() - 255 * probability).abs().max() <= 0.5 + 1e-4
    with pytest.raises(ValueError, match="no network 'big'; there are unet3d-plus-plus-small"):
        segmenting.build("big")  # type: ignore[arg-type]


def test_weights_become_the_graph_of_two_inputs_and_two_outputs_that_the_spec_declares(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(classifying.build("resnet50-3d-small").state_dict(), tmp_path / "weights.pt")
    model = to_onnx(tmp_path / "weights.pt", 1.5, 18)
    assert [tensor.name for tensor in model.graph.input] == [tensor.name for tensor in INFECTION.inputs]
    assert [tensor.name for tensor in model.graph.output] == [tensor.name for tensor in INFECTION.outputs]
    assert model.ByteSize() < 8e6
    (taken, mask) = model.graph.input
    for tensor in (taken, mask):
        assert tuple(size.dim_value for size in tensor.type.tensor_type.shape.dim[1:]) == REGION
