"""The network, its augmentation and its loss do what their docstrings say."""

import json
import math
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
import torch
from pytest import approx

from models.lung_opacity import augment_topff as topff
from models.lung_opacity import train as training
from models.lung_opacity.augment import augment, breathed_out, with_partial_volume
from models.lung_opacity.augment_topff import augment_topff
from models.lung_opacity.data import Slices, Source
from models.lung_opacity.evaluate import auc, dice
from models.lung_opacity.network import RELEASED, Served, build
from models.lung_opacity.spec import SPEC, WINDOW_HU
from models.lung_opacity.to_onnx import to_onnx
from models.lung_opacity.train import Config, LungsAndOpacities, loss, slice_weights
from models.training import config
from models.training.loop import step_generator


def slices(count: int = 20, size: int = 64) -> Slices:
    random = np.random.default_rng(0)
    hu = random.integers(-1000, 100, (count, size, size)).astype(np.int16)
    lung = np.zeros((count, size, size), np.uint8)
    lung[4:, 16:48, 8:56] = 1
    opacity = np.zeros_like(lung)
    opacity[12:, 20:40, 20:30] = 1
    supervised = np.zeros_like(lung)
    supervised[::2] = 1
    return Slices(hu, np.roll(hu, -1, 0), lung, opacity, supervised)


def settings(name: str = "train.toml", **changes: Any) -> Config:
    return config.read(Config, training.HERE / name, changes)


def task(data: Slices, **changes: Any) -> LungsAndOpacities:
    return LungsAndOpacities(settings(**changes), data, slice_weights(data), {})


def test_the_served_graph_clips_and_rounds() -> None:
    torch.manual_seed(0)
    served = Served(build(RELEASED)).eval()
    hu = torch.randint(-1500, 3000, (2, 1, 64, 64), dtype=torch.int16)
    with torch.no_grad():
        probability, found = served(hu)
        clipped, _ = served(hu.clamp(*WINDOW_HU))
    assert found.shape == (2, *SPEC.outputs[0].dims[:1], 64, 64)
    assert found.dtype == torch.uint8
    assert torch.equal(probability, clipped)
    assert (found.float() - 255 * probability).abs().max() <= 0.5 + 1e-4


def test_weights_become_the_graph_that_the_spec_declares(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(build(RELEASED).state_dict(), tmp_path / "weights.pt")
    model = to_onnx(tmp_path / "weights.pt", 18)
    assert [tensor.name for tensor in model.graph.input] == ["hu"]
    assert [tensor.name for tensor in model.graph.output] == ["probability"]
    with pytest.raises(ValueError, match="no network 'big-unet'; there are small-unet"):
        to_onnx(tmp_path / "weights.pt", 18, "big-unet")  # type: ignore[arg-type]


def test_a_step_draws_the_same_batch_every_time_and_another_step_another() -> None:
    drawn = task(slices())
    first, again, other = (drawn.batch(step, step_generator(1, step)) for step in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    images, masks, supervised = first
    assert images.shape == (16, 1, 48, 48)
    assert 0.0 <= images.min() < images.max() <= 1.0
    assert masks.shape == (16, 2, 48, 48)
    assert set(masks.unique().tolist()) <= {0.0, 1.0}
    assert supervised.shape == (16, 1, 48, 48)
    assert set(supervised.unique().tolist()) == {0.0, 1.0}


def test_made_up_opacity_stays_in_the_lungs_and_leaves_labels_alone() -> None:
    hu = torch.full((60, 1, 64, 64), -850.0)
    masks = torch.zeros((60, 3, 64, 64))
    masks[:, 0, 16:48, 8:56] = 1
    _, changed = augment(hu, masks, torch.Generator().manual_seed(0))
    drawn = changed[:, 1].amax((1, 2)) > 0
    assert 5 < drawn.sum() < 30  # of 60
    outside = changed[:, 1] * (1 - changed[:, 0])
    assert outside.sum() <= 0.02 * changed[:, 1].sum()


def test_breathing_out_makes_lung_denser_at_the_back_and_changes_nothing_else() -> None:
    hu = torch.full((40, 1, 64, 64), -860.0)
    lung = torch.zeros_like(hu)
    lung[..., 16:48, 8:56] = 1
    denser = breathed_out(hu, lung, torch.Generator().manual_seed(0))
    assert torch.equal(denser * (1 - lung), hu * (1 - lung))
    front, back = denser[:, 0, 16, 8], denser[:, 0, 47, 8]
    changed = back > -860.0
    assert 10 < changed.sum() < 30  # of 40
    assert (back[changed] > front[changed]).all()
    assert back.max() < -600.0


def test_partial_volume_is_less_than_half_of_the_slice_below() -> None:
    hu, below = torch.full((60, 1, 8, 8), -850.0), torch.full((60, 1, 8, 8), 50.0)
    mixed = with_partial_volume(hu, below, torch.Generator().manual_seed(0))
    changed = mixed[:, 0, 0, 0] > -850.0
    assert 10 < changed.sum() < 30  # of 60
    assert mixed.max() <= -850.0 + 0.45 * 900.0


def test_only_clear_lung_away_from_a_tumour_teaches_that_there_is_no_opacity() -> None:
    labels = np.zeros((40, 20, 20), np.uint8)
    labels[2:14], labels[26:38], labels[28:31, 5:8, 5:8] = 1, 2, 3
    hu = np.full(labels.shape, -850.0, np.float32)
    hu[3:13, 10:20, 10:20] = 20.0  # a consolidation nobody labelled
    hu[12, 3, 3] = 20.0  # a vessel
    known = Source("lung1/x", hd.Volume(hu, np.diag([2.0, 2.0, 2.0, 1.0]), "PATIENT"), labels).supervised
    assert not known[labels != 1].any()
    assert not known[5:11, 13:17, 13:17].any()
    assert known[12, 3, 3]
    assert known[8, 3, 10]


def test_unsupervised_opacity_costs_nothing() -> None:
    masks = torch.zeros((2, 2, 8, 8))
    masks[:, 0] = 1
    right, wrong = torch.full((2, 2, 8, 8), -20.0), torch.full((2, 2, 8, 8), 20.0)
    right[:, 0] = 20.0
    nobody, everybody = torch.zeros((2, 1, 8, 8)), torch.ones((2, 1, 8, 8))
    assert loss(right, masks, everybody).item() == approx(0.0, abs=1e-3)
    assert loss(wrong, masks, nobody).item() == approx(0.0, abs=1e-3)
    assert loss(wrong, masks, everybody).item() > 1.0


def test_slices_with_opacity_are_drawn_most_and_without_lung_least() -> None:
    weights = slice_weights(slices())
    assert weights[0] < weights[5] < weights[15]


def test_measures_of_the_evaluation() -> None:
    assert dice(np.array([True, True, False]), np.array([True, False, False])) == approx(0.667, abs=1e-3)
    assert auc(np.array([0.0, 1.0, 2.0, 3.0]), np.array([False, False, True, True])) == 1.0
    assert auc(np.array([0.0, 0.0, 0.0, 0.0]), np.array([False, True, False, True])) == 0.5


def disc(batch: int = 30, size: int = 96) -> tuple[torch.Tensor, torch.Tensor]:
    """A dense disc off the middle of air-filled lung, and its mask as both channels."""
    y, x = np.mgrid[:size, :size]
    inside = torch.from_numpy((y - 40) ** 2 + (x - 60) ** 2 < 14**2).float().expand(batch, 1, size, size)
    return -850.0 + 800.0 * inside, inside.expand(batch, 2, size, size)


def test_topff_masks_move_with_images_and_stay_masks() -> None:
    hu, masks = disc()
    moved, found = augment_topff(hu, masks, torch.Generator().manual_seed(0))
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(found[:, 0], found[:, 1])
    dense = moved[:, 0] > (moved.amax((1, 2, 3)) + moved[:, 0, 48, 48]).view(-1, 1, 1) / 2
    overlap = 2 * (dense & (found[:, 0] > 0)).sum((1, 2)) / (dense.sum((1, 2)) + found[:, 0].sum((1, 2)))
    assert overlap.min() > 0.95
    assert (found[:, 0] * masks[:, 0]).sum((1, 2)).min() < 0.9 * masks[0, 0].sum()


def test_topff_ranges_are_the_papers() -> None:
    angle, zoom, contrast, brightness = topff.draw(2000, torch.Generator().manual_seed(0))
    for drawn, low, high in (
        (torch.rad2deg(angle), -20.0, 20.0),
        (zoom, 0.95, 1.05),
        (contrast, 0.9, 1.1),
        (brightness, -0.1, 0.1),
    ):
        assert low <= drawn.min() < low + 0.02 * (high - low)
        assert high >= drawn.max() > high - 0.02 * (high - low)


def test_topff_turns_and_zooms_by_what_was_drawn() -> None:
    hu, masks = disc(batch=40)
    angle, zoom, *_ = topff.draw(40, torch.Generator().manual_seed(7))
    _, found = augment_topff(hu, masks, torch.Generator().manual_seed(7))
    for k in range(40):
        y, x = (axis.float().mean() - 47.5 for axis in torch.nonzero(found[k, 0], as_tuple=True))
        turned = math.atan2(y, x) - math.atan2(40 - 47.5, 60 - 47.5)
        assert abs(turned) == approx(abs(float(angle[k])), abs=0.03)
        assert math.hypot(y, x) == approx(math.hypot(7.5, 12.5) * float(zoom[k]), rel=0.03)


def test_topff_draws_the_same_for_the_same_generator() -> None:
    hu, masks = disc(batch=4)
    first, again, other = (augment_topff(hu, masks, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def command(monkeypatch: pytest.MonkeyPatch, out: Path, *options: str) -> list[dict[str, Any]]:
    """Run the training command on slices made here; returns its log."""
    monkeypatch.setattr(training, "load", lambda folder, names: slices(4 * len(names)))
    monkeypatch.setattr(training, "pictures", lambda folder: slices(6))
    monkeypatch.setattr("sys.argv", ["train", "--data", "nowhere", "--out", str(out), "--device", "cpu", *options])
    training.main()
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_the_command_trains_and_measures_what_is_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = command(monkeypatch, tmp_path, "--steps", "2", "--held-out", "medseg9/vol2", "medseg9/vol7")
    assert line["step"] == 2
    assert list(line["held_out"]) == [f"medseg9/vol{n} {channel}" for n in (2, 7) for channel in ("lung", "opacity")]
    assert all(0.0 <= dice <= 1.0 for dice in line["held_out"].values())
    served = Served(build(RELEASED))
    served.network.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))


def test_the_papers_recipe_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "small.toml"
    path.write_text((training.HERE / "topff.toml").read_text().replace("batch = 32", "batch = 2"))
    (line,) = command(monkeypatch, tmp_path, "--steps", "1", "--config", str(path))
    assert line["loss"] > 0
    build("unet-resnet34-bcet").load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))


def test_an_unknown_volume_in_the_configuration_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"held_out.0: .*medseg9/vol1"):
        settings(held_out=["medseg9/vol5"])
