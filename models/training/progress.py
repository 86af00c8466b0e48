"""What a person sees of a run: a bar with loss and time left in a terminal, plain lines anywhere else."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .log import Line


class Shown:
    """Progress from step `first` to step `steps`; a context manager."""

    def __init__(self, first: int, steps: int, console: Console | None = None) -> None:
        self.console = console or Console(soft_wrap=True)
        self._first, self._steps = first, steps
        self._bar = Progress(
            *(BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]:.4f}")),
            *(TimeElapsedColumn(), TextColumn("elapsed,"), TimeRemainingColumn(), TextColumn("left")),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("", total=steps, completed=first, loss=float("nan"))

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, step: int, loss: float) -> None:
        self._bar.update(self._task, completed=step, loss=loss)

    def line(self, line: Line) -> None:
        """A measurement; in a terminal only those with held-out cases, the bar shows the rest."""
        held_out = ", ".join(f"{name} {value:.4f}" for name, value in line.get("held_out", {}).items())
        if self.console.is_terminal and not held_out:
            return
        left = line["seconds"] * (self._steps - line["step"]) / (line["step"] - self._first)
        text = f"step {line['step']} of {self._steps}: loss {line['loss']:.4f}; {line['seconds']} s, {left:.0f} s left"
        self.console.print(f"{text}; held out: {held_out}" if held_out else text, highlight=False)
