"""The network, its augmentation and its loss do what their docstrings say."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pytest import approx

from models.lung_opacity.augment import augment
from models.lung_opacity.data import Slices
from models.lung_opacity.evaluate import auc, dice
from models.lung_opacity.network import LungOpacityNet, Served
from models.lung_opacity.spec import SPEC, WINDOW_HU
from models.lung_opacity.train import BATCH, Run, loss, slice_weights, step_batch


def slices(count: int = 20, size: int = 64) -> Slices:
    random = np.random.default_rng(0)
    hu = random.integers(-1000, 100, (count, size, size)).astype(np.int16)
    lung = np.zeros((count, size, size), np.uint8)
    lung[4:, 16:48, 8:56] = 1
    opacity = np.zeros_like(lung)
    opacity[12:, 20:40, 20:30] = 1
    return Slices(hu, lung, opacity, np.arange(count) % 2 == 0)


def test_the_network_is_small_and_clips_inside_the_graph() -> None:
    torch.manual_seed(0)
    network = LungOpacityNet().eval()
    assert 1.0e6 < sum(p.numel() for p in network.parameters()) < 1.3e6
    hu = torch.randint(-1000, 3000, (2, 1, 64, 64), dtype=torch.int16)
    with torch.no_grad():
        probability, served = Served(network)(hu)
        clipped, _ = Served(network)(hu.clamp(*WINDOW_HU))
    assert served.shape == (2, *SPEC.outputs[0].dims[:1], 64, 64)
    assert served.dtype == torch.uint8
    assert torch.equal(probability, clipped)
    assert (served.float() - 255 * probability).abs().max() <= 0.5 + 1e-4


def test_a_step_draws_the_same_batch_every_time_and_another_step_another() -> None:
    data = slices()
    weights = slice_weights(data)
    first, again, other = (step_batch(data, weights, 1, step) for step in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    hu, masks, supervised = first
    assert hu.shape == (BATCH, 1, 48, 48)
    assert masks.shape == (BATCH, 2, 48, 48)
    assert set(masks.unique().tolist()) <= {0.0, 1.0}
    assert supervised.dtype == torch.bool


def test_made_up_opacity_stays_in_the_lungs_and_leaves_labels_alone() -> None:
    hu = torch.full((60, 1, 64, 64), -850.0)
    masks = torch.zeros((60, 2, 64, 64))
    masks[:, 0, 16:48, 8:56] = 1
    _, changed = augment(hu, masks, torch.Generator().manual_seed(0))
    drawn = changed[:, 1].amax((1, 2)) > 0
    assert 5 < drawn.sum() < 30  # of 60
    outside = changed[:, 1] * (1 - changed[:, 0])
    assert outside.sum() <= 0.02 * changed[:, 1].sum()


def test_unsupervised_opacity_costs_nothing() -> None:
    masks = torch.zeros((2, 2, 8, 8))
    masks[:, 0] = 1
    right, wrong = torch.full((2, 2, 8, 8), -20.0), torch.full((2, 2, 8, 8), 20.0)
    right[:, 0] = 20.0
    nobody, everybody = torch.tensor([False, False]), torch.tensor([True, True])
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


def test_a_stopped_run_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    data = slices(size=64)
    weights = slice_weights(data)

    def steps(run: Run, first: int, last: int) -> None:
        for step in range(first, last):
            run.learn(*step_batch(data, weights, 1, step))

    whole = Run.start(tmp_path, 4, 1, 1e-3)
    steps(whole, 0, 4)
    stopped = Run.start(tmp_path, 4, 1, 1e-3)
    assert stopped.restore() == 0
    steps(stopped, 0, 2)
    stopped.save(2)
    resumed = Run.start(tmp_path, 4, 1, 1e-3)
    assert resumed.restore() == 2
    steps(resumed, 2, 4)
    for name, tensor in whole.average.state_dict().items():
        assert torch.equal(tensor, resumed.average.state_dict()[name]), name
    with pytest.raises(SystemExit, match="run of 4 steps"):
        Run.start(tmp_path, 5, 1, 1e-3).restore()
