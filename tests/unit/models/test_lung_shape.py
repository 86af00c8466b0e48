"""The training of `lung-shape`: what it learns from, what it is told, and what comes out of it."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from torch import Generator

from models.lung_shape.augment import bent, bitten, roughened
from models.lung_shape.boxes import Boxes
from models.lung_shape.network import OF_SIDE, Served, build, by_side
from models.lung_shape.train import HERE, Config, loss, measured, task
from models.training import config
from service.domain.anatomy import Lobe

N = 32
CONFIG = config.read(Config, HERE / "train.toml", {"held_out": ["b"], "batch": 2})


def ball(radius: float = 13.0) -> torch.Tensor:
    axis = torch.arange(N) - (N - 1) / 2
    return ((axis**2)[:, None, None] + (axis**2)[:, None] + axis**2 < radius**2).float()


@pytest.fixture
def boxes() -> Boxes:
    """Two patients with lobes as slabs of balls."""
    lung = (255 * ball()).to(torch.uint8)
    lobes = torch.zeros(len(Lobe), N, N, N, dtype=torch.uint8)
    at = 0
    for count in OF_SIDE:
        for k in range(count):
            slab = slice(k * N // count, (k + 1) * N // count)
            lobes[at + k, slab] = lung[slab]
        at += count
    return Boxes(("a", "b"), torch.stack([lung, lung]).expand(2, -1, -1, -1, -1), lobes.expand(2, -1, -1, -1, -1))


def test_a_mass_is_taken_from_a_lung_and_nothing_is_added() -> None:
    lung, random = ball(), Generator().manual_seed(0)
    left = [bitten(lung, random) for _ in range(12)]
    assert all(not (one > lung).any() for one in left)
    taken = [float((lung - one).sum() / lung.sum()) for one in left]
    assert min(taken) == 0.0, "some stay whole"
    assert 0.05 < max(taken) < 1.0


def test_lungs_are_bent_with_their_lobes_and_roughened() -> None:
    lung, random = ball()[None, None], Generator().manual_seed(1)
    both = bent(torch.cat([lung, lung], 1), random)
    assert torch.equal(both[:, 0], both[:, 1]) and not torch.equal(both[:, :1], lung)
    rough = roughened(lung.expand(4, 2, -1, -1, -1), random)
    changed = [not torch.equal(one, lung.expand(1, 2, -1, -1, -1)[0]) for one in rough]
    assert set(rough.unique().tolist()) == {0.0, 1.0} and any(changed) and not all(changed)


def test_examples_repeat_and_hold_nobody_who_is_held_out(boxes: Boxes) -> None:
    lobes = task(boxes, CONFIG)
    assert (lobes.learned.names, lobes.unseen.names) == (("a",), ("b",))
    first, again = (lobes.batch(0, Generator().manual_seed(3)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)
    seen, truth, weight = first
    assert (seen.shape, truth.shape) == ((2, 2, N, N, N), (2, sum(OF_SIDE) + 2, N, N, N))
    assert all(torch.allclose(side.sum(1), torch.ones(2, N, N, N), atol=1e-5) for side in by_side(truth))
    assert float(weight.min()) == 1.0
    with pytest.raises(SystemExit, match="no such patient: c"):
        boxes.of(("c",))


def test_a_right_answer_costs_less_and_what_is_missing_counts_most(boxes: Boxes) -> None:
    _, truth, weight = task(boxes, CONFIG).batch(0, Generator().manual_seed(4))
    right = truth.clamp_min(1e-4).log()
    assert loss(right, truth, weight) < 0.7 * loss(torch.zeros_like(truth), truth, weight)
    assert loss(-right, truth, weight) > loss(-right, truth, torch.ones_like(weight))


def test_an_untrained_network_believes_the_mask_and_is_measured(boxes: Boxes) -> None:
    torch.manual_seed(0)
    network = build().eval()
    found = measured(network, boxes)
    assert found.keys() == {*(lobe.name for lobe in Lobe), "again", "beside"}
    assert found["again"] < 0.3 and found["beside"] < 0.3
    said, quantised = Served(network)(boxes.lungs[:1])
    assert said.shape == (1, 2, N, N, N) and torch.equal(quantised, torch.round(255 * said).to(torch.uint8))
    inside = boxes.lungs[:1] > 0
    assert said[inside].mean() > 0.7 > 0.3 > said[~inside].mean()


def test_masks_become_the_boxes_that_the_service_shows(tmp_path: Path) -> None:
    labels = np.zeros((80, 60, 60), np.uint8)
    labels[5:35, 10:50, 10:50] = 1 + np.repeat([2, 1, 0], [14, 13, 13])[None, None]
    labels[45:75, 10:50, 10:50] = 4 + np.repeat([1, 0], [20, 20])[None, None]
    affine = np.diag([-4.0, -4.0, 4.0, 1.0])  # RAS: x runs to the patient's left, y to the back
    nibabel.save(nibabel.Nifti1Image(labels, affine), tmp_path / "case01.nii.gz")
    boxes = Boxes.read(tmp_path)
    assert boxes.names == ("case01",) and boxes.lungs.shape == (1, 2, 64, 64, 64)
    sums = boxes.lobes[0].float().sum((1, 2, 3))
    assert float(sums.min()) > 0.0
    for lung, own in zip(boxes.lungs[0], boxes.lobes[0].split(OF_SIDE), strict=True):
        assert float((own.float().sum(0) - lung.float()).abs().mean()) < 8.0
