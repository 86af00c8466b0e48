"""Progress on the terminal, for what takes a minute. Nothing of it is left when it ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import Progress as Shown
from rich.progress import TextColumn, TimeElapsedColumn

from service.cli.options import err
from service.domain.ports import Progress


@contextmanager
def trying() -> Iterator[Progress]:
    """Shows the stage of a trial on a CT, and how long it has run; without a terminal each stage is a line."""
    with Shown(TextColumn("{task.description:<40}"), TimeElapsedColumn(), console=err, transient=True) as shown:
        task = shown.add_task("checking the model")
        told = ""

        def tell(stage: str, _part: float) -> None:
            nonlocal told
            shown.update(task, description=stage)
            if not err.is_terminal and stage != told:
                err.print(f"[dim]{stage}[/]")
            told = stage

        yield tell
