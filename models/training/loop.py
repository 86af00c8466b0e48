"""The loop that every training shares.

Each step draws its examples, their augmentation and the network's dropout from generators seeded by the step, so a
stopped run goes on from its checkpoint and ends with the weights of a run that was never stopped.
"""

import math
import time
from typing import Protocol

import torch
from torch import Generator, Tensor, nn

from .curves import draw
from .log import Log
from .progress import Shown
from .run import Batch, Run


class Task(Protocol):
    """What is to be learned."""

    def batch(self, step: int, random: Generator) -> Batch:
        """The examples of step 0, 1, ...; everything random comes from `random`."""
        ...

    def loss(self, outputs: Tensor, *rest: Tensor) -> Tensor:
        """How wrong the network's answer is."""
        ...

    def measure(self, network: nn.Module) -> dict[str, float]:
        """How good the network is on cases that it does not learn; {} if there are none."""
        ...


def step_generator(seed: int, step: int) -> Generator:
    """All that is random in one step."""
    return Generator().manual_seed(seed * 1_000_003 + step)


def train(run: Run, task: Task, log_every: int, save_every: int) -> None:
    """Run to the end, or go on. Writes checkpoint.pt, log.jsonl, curves.png and weights.pt to the run's folder.

    The log has a line every `log_every` steps; every `save_every` steps the network is measured and kept. Both also
    happen after the last step.
    """
    run.out.mkdir(parents=True, exist_ok=True)
    first = run.restore()
    log, started, losses = Log(run.out / "log.jsonl", first), time.monotonic(), list[float]()
    with Shown(first, run.steps) as shown:
        for step in range(first + 1, run.steps + 1):
            random = step_generator(run.config.seed, step - 1)
            batch = task.batch(step - 1, random)
            torch.manual_seed(int(torch.randint(2**62, (), generator=random)))  # of the network's own dropout
            losses.append(run.learn(batch, task.loss))
            if not math.isfinite(losses[-1]):
                raise SystemExit(f"the loss of step {step} is {losses[-1]}; try a lower rate")
            shown.step(step, losses[-1])
            keep = step % save_every == 0 or step == run.steps
            if not keep and step % log_every:
                continue
            line = {"step": step, "loss": round(sum(losses) / len(losses), 5)}
            losses.clear()
            if keep:
                line["held_out"] = task.measure(run.average.module)
                run.measured(line["held_out"])
            line["seconds"] = round(time.monotonic() - started, 1)
            log.add(line)
            shown.line(line)
            if keep:
                run.save(step)
                draw(log.lines, run.out / "curves.png")
    shown.console.print(f"weights: {run.finish()}; log and curves: {run.out}", highlight=False)


@torch.no_grad()
def answer(network: nn.Module, inputs: Tensor) -> Tensor:
    """What the network says of `inputs` when it does not learn, on the CPU."""
    network.eval()
    return network(inputs.to(next(network.parameters()).device)).cpu()
