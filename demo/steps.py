"""The steps of the demo as they happen: live lines with their time in a terminal, plain lines elsewhere."""

from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Steps:
    """Used in a `with` block. Beginning a step ends the one before it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        # Outside a terminal rich would show nothing before the end.
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._text = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, text: str) -> None:
        self.end()
        self._task = self._progress.add_task(text)
        self.say(text)

    def say(self, text: str) -> None:
        """What is known of the present step by now."""
        self._progress.update(self._task, description=text)
        if text != self._text and not self._console.is_terminal:
            self._console.print(f"  {text}")
        self._text = text

    def end(self) -> None:
        for task in self._progress.task_ids:
            self._progress.update(task, completed=100, total=100)
