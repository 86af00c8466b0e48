"""Stacks, their augmentation, the loss and the export do what their docstrings say."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
import torch
from pytest import approx

from models.networks.context_unet import ContextUnet, Size
from models.networks.reach import REACH
from models.opacity_context import train as training
from models.opacity_context.augment import augment, breathed_out, moving, with_opacity
from models.opacity_context.cases import Case
from models.opacity_context.cases import breathed_out as shallow
from models.opacity_context.cross_validate import FOLDS
from models.opacity_context.data import CLEAR, CTS, LUNG1, MEDSEG9, Stack, domes_of, thicker, thinner, variants
from models.opacity_context.network import RELEASED, Served, build
from models.opacity_context.spec import ASKED, CHANNELS, SPEC, WINDOW, WINDOW_HU
from models.opacity_context.to_onnx import to_onnx
from models.opacity_context.train import Config, Opacities, loss, loss_in_context, measured, slice_weights, train_both
from models.training import config
from models.training.loop import step_generator, train
from models.training.run import Run
from service.domain.ct import CT
from service.pipelines.shared.model_roles import OPACITY_CONTEXT

TINY = Size(growth=(4, 4, 4, 4), layers=1, up=(4, 4, 4), hidden=2, head=4)
SIZE = 64


def stack(name: str = "one", count: int = 24, slice_mm: float = 4.0, opacity: bool = True) -> Stack:
    random = np.random.default_rng(0)
    hu = random.integers(-1000, 100, (count, SIZE, SIZE)).astype(np.int16)
    lung = np.zeros(hu.shape, np.uint8)
    lung[4:20, 16:48, 8:56] = 1
    ill = np.zeros_like(lung)
    if opacity:
        ill[10:14, 20:40, 20:30] = 1
    return Stack(name, (slice_mm, 1.5, 1.5), hu, lung, ill, np.ones_like(lung))


def task(**changes: Any) -> Opacities:
    quick = {"asked": 2, "batch": 2, "slices": 20, "held_out": ["medseg9/vol1"]}
    settings = config.read(Config, training.HERE / "train.toml", quick | changes)
    stacks = {
        name: stack(name, opacity=name != "rider-lung") for name in ("medseg9/vol1", "medseg9/vol2", "rider-lung")
    }
    return training.task(stacks, stack("pictures"), settings, torch.device("cpu"))


def test_the_spec_fits_the_role() -> None:
    assert not list(OPACITY_CONTEXT.check(SPEC))


def test_what_is_told_of_normal_lungs_was_measured() -> None:
    metrics = json.loads((training.HERE / "metrics.json").read_text(encoding="utf-8"))
    assert SPEC.measured == {"normal_percent": metrics["normal_percent"]}


def test_no_fold_learns_what_it_is_measured_on_and_every_ct_is_held_out_once() -> None:
    held_out = [name for fold in FOLDS for name in fold]
    assert sorted(held_out) == sorted(CTS) == sorted([*MEDSEG9, *LUNG1, *CLEAR])
    assert {"medseg9/vol2", "medseg9/vol3"} <= set(FOLDS[0]), "they are one patient's"


def test_averaged_and_interpolated_slices_keep_what_most_of_a_voxel_is() -> None:
    one = stack()
    double = thicker(one, 2)
    assert double.spacing_mm[0] == 8.0 and len(double.hu) == 12
    assert double.hu[0] == approx((one.hu[0].astype(float) + one.hu[1]) / 2, abs=0.51)
    assert double.lung[2].all() == one.lung[4].all()
    half = thinner(one)
    assert half.spacing_mm[0] == 2.0 and len(half.hu) == 47
    assert np.array_equal(half.hu[::2], one.hu) and np.array_equal(half.opacity[::2], one.opacity)
    assert [len(v.hu) for v in variants(replace(one, spacing_mm=(2.5, 1.5, 1.5)))] == [24, 12]
    assert [len(v.hu) for v in variants(replace(one, spacing_mm=(6.0, 1.5, 1.5)))] == [24, 47]


def test_domes_opacity_and_lung_are_drawn_more_often_than_slices_without_lung() -> None:
    one = stack()
    weights = slice_weights(one).numpy()
    assert weights[0] < weights[8] < weights[11]
    assert domes_of(one).any((1, 2))[[11, 12, 19]].tolist() == [False, True, True]
    assert weights[18] > weights[8]


def test_single_slices_come_first_and_have_no_neighbours_then_stacks() -> None:
    drawn = task(single=3)
    hu, lung, *_, neighbours = drawn.batch(2, step_generator(1, 2))
    assert hu.shape == lung.shape == (2, 2 * REACH, 48, 48) and not neighbours.any()
    hu, lung, _, _, neighbours = drawn.batch(3, step_generator(1, 3))
    assert hu.shape == lung.shape == (2, 2 + 2 * REACH, 32, 32)
    assert set(neighbours.tolist()) <= {0.0, 1.0}
    again = drawn.batch(3, step_generator(1, 3))
    assert torch.equal(again[0], hu)
    assert 0.0 <= hu.min() < hu.max() <= 1.0


def test_what_is_augmented_changes_in_all_slices_of_a_stack_alike() -> None:
    random = torch.Generator().manual_seed(0)
    hu = torch.full((20, 5, 32, 32), -850.0)
    lung = torch.zeros_like(hu)
    lung[:, :, 8:24, 4:28] = 1
    _, moved, opacity, known = augment(hu, lung, torch.zeros_like(hu), torch.ones_like(hu), 0.75, random)
    assert moved.shape == (20, 5, 24, 24)
    assert torch.equal(moved, moved[:, :1].expand_as(moved)), "the same window"
    assert set(opacity.unique().tolist()) == {0.0, 1.0}
    assert set(known.unique().tolist()) <= {0.0, 1.0}


def test_made_up_opacity_stays_in_the_lungs_and_goes_on_from_slice_to_slice() -> None:
    hu = torch.full((60, 9, 64, 64), -850.0)
    lung = torch.zeros_like(hu)
    lung[:, :, 16:48, 8:56] = 1
    changed, opacity = with_opacity(hu, lung, torch.zeros_like(hu), torch.Generator().manual_seed(0))
    assert 5 < (opacity.amax((1, 2, 3)) > 0).sum() < 30  # of 60
    assert not (opacity * (1 - lung)).any()
    assert (changed[opacity > 0] > -850.0).float().mean() > 0.95
    both = (opacity[:, 1:] * opacity[:, :-1]).sum() / opacity[:, 1:].sum()
    assert both > 0.6


def test_breathing_out_makes_lung_denser_at_the_back_and_changes_nothing_else() -> None:
    hu = torch.full((60, 3, 64, 64), -860.0)
    lung = torch.zeros_like(hu)
    lung[:, :, 16:48, 8:56] = 1
    denser = breathed_out(hu, lung, torch.Generator().manual_seed(0))
    assert torch.equal(denser * (1 - lung), hu * (1 - lung))
    front, back = denser[:, 0, 16, 8], denser[:, 0, 47, 8]
    changed = back > -860.0
    assert 12 < changed.sum() < 36  # of 60
    assert (back[changed] >= front[changed]).all() and back.max() < -380.0


def test_a_moving_slice_is_mostly_itself() -> None:
    hu = torch.zeros((80, 3, 4, 4))
    hu[:, 0], hu[:, 2] = -900.0, 900.0
    moved = moving(hu, torch.Generator().manual_seed(0))[:, 1, 0, 0]
    assert 20 < (moved != 0).sum() < 60  # of 80
    assert moved.abs().max() <= 0.45 * 900.0


def test_the_loss_counts_opacity_where_it_is_known_and_context_where_there_is_some() -> None:
    lung = torch.ones((1, 12, 8, 8))
    opacity, known = torch.zeros_like(lung), torch.ones_like(lung)
    logits = torch.full((1, 12 + 2 + 2, 2, 8, 8), 0.0)
    here, alone = torch.ones(1), torch.zeros(1)
    worse = logits.clone()
    worse[:, 14:, 1] = 9.0
    assert loss(worse, lung, opacity, known, here) > loss(logits, lung, opacity, known, here)
    assert loss(worse, lung, opacity, known, alone) == loss(logits, lung, opacity, known, alone)
    unknown = torch.zeros_like(known)
    assert loss(worse, lung, opacity, unknown, here) == approx(loss(logits, lung, opacity, unknown, here).item())
    main = logits[:, :12]
    assert torch.isfinite(loss(main, lung, opacity, known, alone)), "a stack without a middle"
    worse = logits.clone()
    worse[:, 12:14, 1] = 9.0
    assert loss(worse, lung, opacity, known, here) == loss(logits, lung, opacity, known, here)
    in_context = loss_in_context(worse, lung, opacity, known, here)
    assert in_context > loss_in_context(logits, lung, opacity, known, here), "the attention branch is told for itself"


def test_a_run_learns_and_measures_what_it_has_not_seen(tmp_path: Path) -> None:
    drawn = task(single=2, steps=4, log_every=1, save_every=2)
    run = Run.start(lambda: ContextUnet(len(CHANNELS), TINY), drawn.config, 4, tmp_path, torch.device("cpu"))
    train(run, drawn, 1, 2)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    told = {name.rpartition(" ")[2] for name in lines[-1]["held_out"]}
    assert {"lung", "opacity", "domes", "main", "attention"} <= told
    found = measured(ContextUnet(len(CHANNELS), TINY), stack("clear", opacity=False))
    assert set(found) == {"lung", "false percent"}


def test_the_first_run_stays_as_it_is_and_the_attention_branch_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "build", lambda name: ContextUnet(len(CHANNELS), TINY))
    drawn = task(single=1, steps=2, log_every=1, save_every=2, attention={"steps": 2, "rate": 1e-3})
    train_both(drawn, drawn.config, tmp_path, torch.device("cpu"))
    first, both = (torch.load(folder / "weights.pt") for folder in (tmp_path / "first", tmp_path))
    changed = {name.partition(".")[0] for name in both if not torch.equal(first[name], both[name])}
    assert {"context", "attention", "down", "up"} <= changed and not {"slices", "main"} & changed


def test_the_served_graph_clips_and_rounds() -> None:
    torch.manual_seed(0)
    served = Served(ContextUnet(len(CHANNELS), TINY)).eval()
    hu = torch.randint(-1500, 3000, (1, 2 * REACH + 2, 32, 32), dtype=torch.int16)
    with torch.no_grad():
        probability, found = served(hu)
        clipped, _ = served(hu.clamp(*WINDOW_HU))
    assert found.shape == (1, len(CHANNELS), 2, 32, 32) and found.dtype == torch.uint8
    assert torch.equal(probability, clipped)
    assert (found.float() - 255 * probability).abs().max() <= 0.5 + 1e-4


def test_weights_become_the_graph_that_the_spec_declares(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(build(RELEASED).state_dict(), tmp_path / "weights.pt")
    model = to_onnx(tmp_path / "weights.pt", 18)
    assert [tensor.name for tensor in model.graph.output] == ["probability"]
    (taken,) = model.graph.input
    assert [size.dim_value for size in taken.type.tensor_type.shape.dim[1:]] == [ASKED + 2 * REACH, *WINDOW]
    with pytest.raises(ValueError, match="no network 'big'; there are context-unet-small"):
        build("big")  # type: ignore[arg-type]


def test_a_case_in_shallow_breathing_is_denser_at_the_back_of_its_lungs_only() -> None:
    hu = np.full((4, 40, 40), -860.0, np.float32)
    volume = hd.Volume(hu, np.diag([2.0, 1.5, 1.5, 1.0]), "PATIENT")
    lung = np.zeros(hu.shape, np.bool_)
    lung[:, 10:30, 10:30] = True
    case = shallow(Case(CT((), volume), np.zeros_like(lung), np.ones_like(lung), None), lung, 0.4)
    found = case.ct.volume.array
    assert (found[~lung] == -860.0).all()
    assert found[0, 10, 20] < -800.0 < -520.0 < found[0, 29, 20] < -480.0
