"""The picture of a run: its loss, and how good it is on cases that it does not learn."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from .log import Line


def draw(lines: Sequence[Line], path: Path) -> None:
    """Write a PNG: the loss by step and, where anything was held out, its measures."""
    measured = [line for line in lines if line.get("held_out")]
    figure = Figure(figsize=(11 if measured else 5.5, 4), layout="constrained")
    loss, *held_out = figure.subplots(1, 2 if measured else 1, squeeze=False)[0]
    loss.plot([line["step"] for line in lines], [line["loss"] for line in lines])
    loss.set(xlabel="step", ylabel="loss", yscale="log")
    for axes in held_out:
        for name in measured[-1]["held_out"]:
            axes.plot(
                [line["step"] for line in measured], [line["held_out"][name] for line in measured], "o-", label=name
            )
        axes.set(xlabel="step", title="held out")
        axes.legend(fontsize="small")
    figure.savefig(path)
