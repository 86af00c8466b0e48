"""The shared training machinery, on a network small enough to train here."""

import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from pytest import approx
from rich.console import Console
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from models.training import config, device
from models.training.config import Training
from models.training.log import Log, read
from models.training.loop import answer, train
from models.training.progress import Shown
from models.training.run import Run

ONE_CYCLE = {"kind": "one-cycle", "warm_up": 0.3}
PLATEAU = {"kind": "plateau", "watch": "error", "factor": 0.1, "patience": 1}
VALUES: dict[str, Any] = {
    "seed": 1,
    "batch": 4,
    "rate": 0.01,
    "weight_decay": 0.01,
    "clip": 1.0,
    "average": 0.9,
    "bf16": True,
    "schedule": ONE_CYCLE,
}
STEPS = 7


def network() -> nn.Module:
    """With what depends on history (batch normalisation) and on chance (dropout)."""
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 1))


class Sums:
    """Learn to add three numbers; `stop_at` is the step at which somebody pulls the plug."""

    def __init__(self, stop_at: int | None = None, scale: float = 1.0) -> None:
        self.stop_at, self.scale = stop_at, scale

    def batch(self, step: int, random: Generator) -> tuple[Tensor, Tensor]:
        if step == self.stop_at:
            raise KeyboardInterrupt
        numbers = torch.rand((4, 3), generator=random)
        return numbers, numbers.sum(1, keepdim=True) * self.scale

    def loss(self, outputs: Tensor, *rest: Tensor) -> Tensor:
        return F.mse_loss(outputs, rest[0])

    def measure(self, network: nn.Module) -> dict[str, float]:
        numbers = torch.eye(3)
        return {"error": F.mse_loss(answer(network, numbers), numbers.sum(1, keepdim=True)).item()}


def start(out: Path, steps: int = STEPS, **changes: Any) -> Run:
    settings = Training.model_validate(VALUES | changes)
    return Run.start(network, settings, steps, out, device.use("cpu"))


def weights(folder: Path) -> dict[str, Tensor]:
    return torch.load(folder / "weights.pt", weights_only=True)


def without_seconds(folder: Path) -> list[dict[str, Any]]:
    return [{key: line[key] for key in line if key != "seconds"} for line in read(folder / "log.jsonl")]


@pytest.mark.parametrize("schedule", [ONE_CYCLE, PLATEAU], ids=lambda s: s["kind"])
@pytest.mark.parametrize("stop_at", [1, 5])
def test_a_stopped_run_ends_exactly_as_one_that_was_not(tmp_path: Path, schedule: Any, stop_at: int) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(start(whole, schedule=schedule), Sums(), 1, 2)
    with pytest.raises(KeyboardInterrupt):
        train(start(stopped, schedule=schedule), Sums(stop_at), 1, 2)
    assert not (stopped / "weights.pt").exists()
    torch.rand(100)  # whatever else the process drew
    train(start(stopped, schedule=schedule), Sums(), 1, 2)
    expected, found = weights(whole), weights(stopped)
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert without_seconds(stopped) == without_seconds(whole)
    assert [line["step"] for line in without_seconds(whole)] == list(range(1, STEPS + 1))
    assert ["held_out" in line for line in without_seconds(whole)] == [False, True] * 3 + [True]


def test_another_seed_gives_another_network(tmp_path: Path) -> None:
    for seed in (1, 2):
        train(start(tmp_path / str(seed), seed=seed), Sums(), 1, 10)
    assert not torch.equal(weights(tmp_path / "1")["0.weight"], weights(tmp_path / "2")["0.weight"])


def test_a_run_learns(tmp_path: Path) -> None:
    train(start(tmp_path, steps=300, average=0.0), Sums(), 50, 100)
    losses = [line["loss"] for line in read(tmp_path / "log.jsonl")]
    assert losses[-1] < 0.5 * losses[0]


def test_no_averaging_gives_the_last_weights(tmp_path: Path) -> None:
    run = start(tmp_path, average=0.0)
    train(run, Sums(), 10, 10)
    assert all(torch.equal(tensor, weights(tmp_path)[name]) for name, tensor in run.network.state_dict().items())


def test_a_plateau_lowers_the_rate_when_the_measure_stands_still(tmp_path: Path) -> None:
    run = start(tmp_path, schedule=PLATEAU)
    for value in (1.0, 0.5, 0.6, 0.5):
        assert run.optimiser.param_groups[0]["lr"] == approx(0.01)
        run.measured({"error": value})
    assert run.optimiser.param_groups[0]["lr"] == approx(0.001)


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    train(start(tmp_path), Sums(), 1, 2)
    with pytest.raises(SystemExit, match=r"steps is 7, not 8; rate is 0.01, not 0.1"):
        train(start(tmp_path, steps=8, rate=0.1), Sums(), 1, 2)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"loss of step 1 is inf"):
        train(start(tmp_path), Sums(scale=math.inf), 1, 2)


def test_a_run_leaves_its_curves_as_a_picture(tmp_path: Path) -> None:
    train(start(tmp_path), Sums(), 1, 2)
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 2 * picture.height
        assert len(picture.convert("L").getcolors() or []) > 10


def test_a_log_forgets_what_was_not_kept_and_a_line_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in (10, 20, 30)) + '{"step": 4')
    log = Log(path, 20)
    log.add({"step": 30, "loss": 1.0})
    assert [line["step"] for line in log.lines] == [line["step"] for line in read(path)] == [10, 20, 30]
    assert read(path)[-1]["loss"] == 1.0


def told(terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, soft_wrap=True)
    with Shown(10, 30, console) as shown:
        shown.step(20, 0.5)
        shown.line({"step": 20, "loss": 0.5, "seconds": 8.0})
        shown.line({"step": 30, "loss": 0.4, "seconds": 16.0, "held_out": {"vol2 lung": 0.9}})
    return console.file.getvalue()


def test_lines_outside_a_terminal_tell_loss_time_left_and_measures() -> None:
    assert told(terminal=False).splitlines() == [
        "step 20 of 30: loss 0.5000; 8.0 s, 8 s left",
        "step 30 of 30: loss 0.4000; 16.0 s, 0 s left; held out: vol2 lung 0.9000",
    ]


def test_a_terminal_shows_a_bar_and_measures() -> None:
    shown = told(terminal=True)
    assert "20/30" in shown
    assert "held out: vol2 lung 0.9000" in shown
    assert "step 20 of 30" not in shown


CONFIGURATION = """
seed = 1
batch = 4
rate = 0.01
weight_decay = 0.0
clip = inf
average = 0.9
bf16 = true
[schedule]
kind = "one-cycle"
warm_up = 0.1
"""


def test_a_configuration_is_read_and_changed_by_options(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text(CONFIGURATION)
    found = config.read(Training, path, {"seed": 5})
    assert (found.seed, found.rate, found.clip, found.schedule.kind) == (5, 0.01, math.inf, "one-cycle")
    with pytest.raises(ValueError, match="frozen"):
        found.seed = 6


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ("seed = 1", "seeds = 1", r"seed: Field required[\s\S]*seeds: Extra inputs"),
        ("batch = 4", 'batch = "4"', r"batch: .*integer \(found '4'\)"),
        ("batch = 4", "batch = 0", r"batch: .*greater than 0 \(found 0\)"),
        ("average = 0.9", "average = 1.0", r"average: .*less than 1"),
        ('kind = "one-cycle"', 'kind = "cosine"', r"schedule: .*'one-cycle', 'plateau'"),
        ("warm_up = 0.1", "patience = 3", r"schedule.one-cycle.warm_up: Field required"),
        ("seed = 1", "seed =", r"train.toml: .*line 2"),
    ],
)
def test_a_wrong_configuration_is_told_in_words(tmp_path: Path, line: str, instead: str, said: str) -> None:
    path = tmp_path / "train.toml"
    path.write_text(CONFIGURATION.replace(line, instead))
    with pytest.raises(SystemExit, match=said):
        config.read(Training, path, {})


def test_a_missing_configuration_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="No such file"):
        config.read(Training, tmp_path / "none.toml", {})


def test_a_gpu_that_is_not_there_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.use("auto").type == "cpu"
    with pytest.raises(SystemExit, match="sees no GPU"):
        device.use("cuda")


def test_a_gpu_is_taken_where_there_is_one_unless_the_cpu_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [device.use(name).type for name in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
