"""Examples, their augmentation, the loss and the export of the tumour network do what their docstrings say."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytest import approx

from models.lung_tumour import bank, network
from models.lung_tumour import train as training
from models.lung_tumour.augment import SEEN, augment, moving
from models.lung_tumour.bank import Lesion
from models.lung_tumour.data import Volume, edge_mm, thicker, variants
from models.lung_tumour.draw import Sources, tensors
from models.lung_tumour.measure import Unseen, measured, probabilities
from models.lung_tumour.mosaic import mosaic
from models.lung_tumour.network import KINDS, PAPER_HU, RELEASED, Served, build, image
from models.lung_tumour.patches import guess_hu
from models.lung_tumour.series import CTS, UNSEEN
from models.lung_tumour.spec import ASKED, GRID, REACH, SPEC, WINDOW, WINDOW_HU
from models.lung_tumour.to_onnx import result, to_onnx
from models.lung_tumour.train import Config, Tumours, loss, train_both
from models.networks.elu_unet import EluUnet
from models.networks.small_unet import SmallUnet
from models.training import config
from models.training.loop import step_generator, train
from models.training.run import Run
from service.pipelines.nsclc_gtv.model_roles import LUNG_TUMOUR

CPU = torch.device("cpu")
SIZE = GRID.size


def volume(name: str = "lung1/LUNG1-001", tumour: bool = True, slice_mm: float = 3.0) -> Volume:
    lung = np.zeros((20, SIZE, SIZE), np.bool_)
    lung[3:17, 60:130, 40:150] = True
    hu = np.where(lung, np.int16(-860), np.int16(40))
    ill = np.zeros_like(lung)
    ill[8:12, 80:100, 60:80] = tumour
    hu[ill] = 30
    return Volume(name, slice_mm, hu, edge_mm(lung), lung, ill, np.ones_like(lung))


def lesion() -> Lesion:
    state = np.full((4, 10, 10), bank.AS_BEFORE, np.uint8)
    state[:, 2:8, 2:8] = bank.TUMOUR
    return Lesion(0, (5, 105, 105), np.where(state == bank.TUMOUR, np.int16(50), np.int16(-860)), state)


def pictures(count: int = 20) -> tuple[Any, Any]:
    tumour = np.zeros((count, 48, 48), np.bool_)
    tumour[::2, 20:30, 20:30] = True
    return np.where(tumour, np.int16(40), np.int16(-880)), tumour


def task(**changes: Any) -> Tumours:
    settings = config.read(Config, training.HERE / "train.toml", {"batch": 2, "bank": 1} | changes)
    sources = Sources.of([volume(), volume("lidc/LIDC-IDRI-0001", False)], [lesion()])
    one = volume()
    unseen = Unseen("unseen", np.where(one.edge > 0, one.hu, np.int16(-1024)), one.tumour, one.known, 0.012)
    return Tumours(settings, sources, pictures(), [unseen])


def test_the_spec_fits_the_role() -> None:
    assert not list(LUNG_TUMOUR.check(SPEC))


def test_what_is_measured_is_never_learned() -> None:
    assert not set(CTS) & set(UNSEEN) and "rider-lung" in UNSEEN


def test_the_edge_of_the_field_is_told_in_mm_from_slice_to_slice() -> None:
    inside = np.zeros((2, 40, 40), np.bool_)
    inside[0, 10:30, 10:30] = True
    far = edge_mm(inside)
    assert far[0, 20, 10] == 2 and far[0, 20, 9] == -2 and far[0, 20, 20] == 20
    assert (far[1] == -60).all(), "no lung in this slice"


def test_thick_slices_keep_what_most_of_a_voxel_is() -> None:
    one = volume()
    double = thicker(one, 2)
    assert double.slice_mm == 6.0 and len(double.hu) == 10
    assert np.array_equal(double.tumour[4], one.tumour[8]) and not double.lung[0].any()
    assert [len(other.hu) for other in variants(one)] == [20, 10]
    assert len(variants(replace(one, slice_mm=4.0))) == 1


def test_a_lesion_of_the_bank_changes_its_ct_in_the_stack_only() -> None:
    drawn = task().sources
    before = drawn.volumes[0].hu.copy()
    stack = drawn.made(np.random.default_rng(0))
    assert stack.hu.shape == (2 * REACH + 1, SIZE, SIZE)
    assert stack.masks[0, 107:113, 107:113].all() and (stack.hu[REACH, 107:113, 107:113] == 50).all()
    assert np.array_equal(drawn.volumes[0].hu, before)
    assert stack.masks[1].all()


def test_an_example_with_an_outlined_tumour_shows_it_or_is_next_to_it() -> None:
    drawn = task().sources
    masks = [drawn.real(np.random.default_rng(seed)).masks[0] for seed in range(20)]
    areas = {int(mask.sum()) for mask in masks}
    assert areas == {0, 400}


def test_a_mosaic_teaches_nothing_at_the_seams() -> None:
    stack = mosaic(np.random.default_rng(0), *pictures())
    assert stack.hu.shape == (2 * REACH + 1, SIZE, SIZE)
    known = stack.masks[1].reshape(4, 48, 4, 48)
    assert not known[:, :4].any() and not known[:, -4:].any() and known[:, 4:-4, :, 4:-4].all()
    assert 4 * 100 <= stack.masks[0].sum() <= 16 * 100
    assert not np.array_equal(stack.hu[0], stack.hu[REACH]), "the slices around are other ones"


def test_grey_values_of_pictures_become_hu_by_lung_and_muscle() -> None:
    assert guess_hu(np.array([27, 242, 255], np.uint8)).tolist() == [-880, 45, 101]


def test_augmentation_shows_air_outside_the_field_and_no_tumour_there() -> None:
    random = torch.Generator().manual_seed(0)
    drawn = task().sources
    stacks = [drawn.real(np.random.default_rng(seed)) for seed in range(12)]
    hu, tumour, known = augment(*tensors(stacks), random)
    assert hu.shape == (12, 2 * REACH + 1, *SEEN) and tumour.shape == known.shape == (12, 1, *SEEN)
    assert set(tumour.unique().tolist()) == {0.0, 1.0}
    outside = hu[:, REACH, None] == -1024.0
    assert outside.float().mean() > 0.3 and not (tumour * outside).any()


def test_a_field_that_is_too_wide_shows_what_lies_beyond() -> None:
    stacks = [task().sources.clear(np.random.default_rng(seed)) for seed in range(8)]
    narrow, wide = (
        augment(*tensors(stacks), torch.Generator().manual_seed(0), part)[0][:, REACH] > -1024.0 for part in (0.0, 1.0)
    )
    assert wide.float().mean() > 1.2 * narrow.float().mean()


def test_clear_examples_may_come_from_the_bases_of_the_lungs() -> None:
    drawn = task().sources
    base = [drawn.clear(np.random.default_rng(seed), 1.0).edge[REACH] for seed in range(20)]
    last = [volume().edge[z] for z in range(13, 17)] + [thick.edge[-2] for thick in variants(volume())]
    assert all(any(np.array_equal(plane, other) for other in last) for plane in base)


def test_a_slice_of_a_moving_patient_is_mostly_itself() -> None:
    hu = torch.zeros((80, 3, 4, 4))
    hu[:, 0] = hu[:, 2] = 900.0
    moved = moving(hu, torch.Generator().manual_seed(0))[:, 1, 0, 0]
    assert 10 < (moved != 0).sum() < 50 and moved.max() <= 0.4 * 900.0


def test_the_loss_counts_where_it_is_known_and_cross_entropy_less_at_first() -> None:
    truth, known = torch.zeros((2, 1, 16, 16)), torch.ones((2, 1, 16, 16))
    truth[0, 0, 4:12, 4:12] = 1
    good, bad = 8.0 * (2 * truth - 1), torch.zeros_like(truth)
    one = torch.tensor(1.0)
    assert loss(good, truth, known, one) < 0.05 < loss(bad, truth, known, one)
    assert loss(bad, truth, known, torch.tensor(1 / 3)) < loss(bad, truth, known, one)
    false = good.clone()
    false[1] = 8.0
    assert loss(false, truth, known, one) > 0.4
    known[1] = 0
    assert loss(false, truth, known, one) == approx(loss(good, truth, known, one).item(), abs=0.01)


@pytest.mark.parametrize("name", KINDS)
def test_a_run_learns_with_each_network_and_measures_what_it_has_not_seen(
    name: network.Name, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny(monkeypatch)
    drawn = task(network=name, steps=2, log_every=1, save_every=2)
    assert all(map(torch.equal, drawn.batch(1, step_generator(1, 1)), drawn.batch(1, step_generator(1, 1))))
    run = Run.start(lambda: build(name), drawn.config, 2, tmp_path, CPU)
    train(run, drawn, 1, 2)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert {"unseen dice", "unseen ml", "unseen true ml", "unseen false ml"} == set(last["held_out"])
    weights, checkpoint = result(tmp_path / "weights.pt"), result(tmp_path / "checkpoint.pt")
    assert weights.keys() == checkpoint.keys() and all(torch.equal(weights[key], checkpoint[key]) for key in weights)


def test_the_second_run_goes_on_from_the_first_with_another_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny(monkeypatch)
    parts = {"real": 1.0, "pictures": 1e-9, "made": 1e-9, "clear": 1e-9}
    examples = {"parts": parts, "wide": 0.1, "domes": 0.1, "generous": True}
    again = {"steps": 1, "rate": 1e-3, "examples": examples}
    drawn, seen = task(steps=1, log_every=1, save_every=1, again=again), list[Config]()

    def prepared(own: Config) -> Tumours:
        seen.append(own)
        return replace(drawn, config=own)

    train_both(prepared, drawn.config, tmp_path, CPU)
    first, both = (torch.load(folder / "weights.pt") for folder in (tmp_path / "first", tmp_path))
    assert any(not torch.equal(first[key], both[key]) for key in both)
    assert [own.seed for own in seen] == [1, 2] and seen[1].examples.parts.real == 1.0
    train_both(prepared, drawn.config, tmp_path, CPU)
    assert [own.seed for own in seen] == [1, 2, 2], "the first run is not made again"
    train_both(prepared, drawn.config.model_copy(update={"again": None, "steps": 1}), tmp_path / "one", CPU)
    assert not (tmp_path / "one" / "first").exists() and (tmp_path / "one" / "weights.pt").exists()


def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    channels = 2 * (2 * REACH + 1)
    monkeypatch.setitem(KINDS, "stack-unet", replace(KINDS["stack-unet"], build=lambda: SmallUnet(1, 2, channels)))
    monkeypatch.setitem(KINDS, "elu-unet", replace(KINDS["elu-unet"], build=lambda: EluUnet((2, 4, 8))))


def test_dice_is_of_the_largest_piece_and_what_touches_no_tumour_is_false() -> None:
    one = volume()

    class Bright(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return 20.0 * (images[:, REACH, None] - 0.5)

    hu = np.where(one.lung, one.hu, np.int16(-1024))
    hu[4:6, 70:74, 120:124] = 20
    found = measured(Bright(), RELEASED, Unseen("one", hu, one.tumour, one.known, 0.012))
    assert found == {"false ml": 0.38, "dice": 1.0, "ml": 19.2, "true ml": 19.2}
    assert probabilities(Bright(), RELEASED, hu).shape == hu.shape


def test_the_released_network_sees_neighbours_through_two_windows_and_the_papers_one_slice_in_bins() -> None:
    hu = torch.full((1, 2 * REACH + 1, 16, 16), -137, dtype=torch.int16)
    hu[:, REACH] = 60
    seen = image(hu, RELEASED)
    assert seen.shape == (1, 2 * (2 * REACH + 1), 16, 16)
    assert seen[0, 2 * REACH + 1 + REACH, 0, 0].item() == approx(210 / 400)
    paper = image(hu, "elu-unet")
    assert paper.shape == (1, 1, 16, 16) and paper[0, 0, 0, 0].item() == approx((50 - PAPER_HU[0]) / 1500)
    with pytest.raises(ValueError, match="no network 'big'; there are stack-unet, elu-unet"):
        build("big")  # type: ignore[arg-type]


def test_the_papers_network_has_its_size() -> None:
    assert sum(weight.numel() for weight in KINDS["elu-unet"].build().parameters()) == 31_030_593


def test_the_served_graph_clips_rounds_and_answers_for_the_slices_in_the_middle() -> None:
    torch.manual_seed(0)
    served = Served(SmallUnet(1, 2, 2 * (2 * REACH + 1)), RELEASED).eval()
    hu = torch.randint(-1500, 3000, (1, ASKED + 2 * REACH, 32, 32), dtype=torch.int16)
    with torch.no_grad():
        probability, found = served(hu)
        clipped, _ = served(hu.clamp(*WINDOW_HU))
        other = hu.clone()
        other[:, : 2 * REACH] = 0
        changed, _ = served(other)
    assert found.shape == (1, 1, ASKED, 32, 32) and found.dtype == torch.uint8
    assert torch.equal(probability, clipped)
    assert (found.float() - 255 * probability).abs().max() <= 0.5 + 1e-4
    differs = (changed != probability).flatten(3).any(3)[0, 0]
    assert differs.tolist() == [True] * 2 * REACH + [False] * (ASKED - 2 * REACH)


@pytest.mark.parametrize("name", KINDS)
def test_weights_become_the_graph_that_the_spec_declares(
    name: network.Name, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny(monkeypatch)
    torch.manual_seed(0)
    torch.save(build(name).state_dict(), tmp_path / "weights.pt")
    model = to_onnx(tmp_path / "weights.pt", 18, name)
    assert [tensor.name for tensor in model.graph.output] == ["probability"]
    (taken,) = model.graph.input
    assert [size.dim_value for size in taken.type.tensor_type.shape.dim[1:]] == [ASKED + 2 * REACH, *WINDOW]
