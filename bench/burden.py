"""covid-burden as a user runs it, on 118 slices; and what it saves to encode each slice once.

The paper's CPU of six cores took 145 s for 120 slices.
"""

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from bench.analyse import run
from bench.cases import DEMO
from bench.figures import Figure, Target, columns

PART = "covid-burden"

_SECONDS, _PEAK_GB = Target(45), Target(2)


def measure(work: Path, repeat: int) -> Iterator[Figure]:
    """The demo CT, and the network alone."""
    runs = columns([run(DEMO, work / "burden", "--pipeline", PART) for _ in range(repeat)])
    yield Figure(PART, "demo CT, 118 slices: whole command", "s", runs.pop("wall_s"), _SECONDS)
    yield Figure(PART, "demo CT, 118 slices: peak memory", "GB", runs.pop("peak_gb"), _PEAK_GB)
    yield Figure(PART, "demo CT, 118 slices: CPU time", "s", runs.pop("cpu_s"))
    for stage, seconds in runs.items():
        yield Figure(PART, f"demo CT, 118 slices: {stage}", "s", seconds)
    ratios = tuple(_eleven_fold() for _ in range(repeat))
    yield Figure(PART, "eleven slices encoded for each / each slice encoded once", "", ratios, more_is_better=True)


def _eleven_fold() -> float:
    """Time of one stack for each slice, divided by that of the stack that shares its slices; in torch."""
    # Only here: what is measured after this does not need them.
    import torch

    from models.networks.context_unet import SMALL, ContextUnet
    from models.networks.reach import REACH
    from models.opacity_context.spec import ASKED, CHANNELS, WINDOW

    network = ContextUnet(len(CHANNELS), SMALL).eval()
    stack = torch.rand(1, ASKED + 2 * REACH, *WINDOW)
    apart = [stack[:, first : first + 2 * REACH + 1] for first in range(ASKED)]
    with torch.no_grad():
        network(apart[0])
    seconds = []
    for stacks in ([stack], apart):
        began = perf_counter()
        with torch.no_grad():
            for one in stacks:
                network(one)
        seconds.append(perf_counter() - began)
    return seconds[1] / seconds[0]
