"""Holding a process of the service at an exact moment: the side of the test. `hooks/sitecustomize.py` is the other."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from helpers.dicom_peers import wait_until

HOOKS = Path(__file__).parent / "hooks"


@dataclass(frozen=True, slots=True)
class Point:
    """A moment in a process: before or after the call of a function, written `module:qualified.name`.

    number: of the calls, counted from 1.
    """

    role: str
    function: str
    when: str = "before"
    number: int = 1


class Holds:
    """Processes started with `environment` can be held, one at a time."""

    def __init__(self, folder: Path, points: Iterable[Point]) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        (folder / "points").write_text("\n".join(sorted({point.function for point in points})))

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(part for part in (str(HOOKS), os.environ.get("PYTHONPATH", "")) if part)
        return {"PYTHONPATH": path, "CRASH_MATRIX_HOLDS": str(self._folder)}

    def arm(self, point: Point) -> None:
        """The next process that gets there is held. Calls count from now on."""
        new = self._folder / "new"
        new.write_text(f"{point.role} {point.function} {point.when} {point.number}")
        new.rename(self._folder / "armed")

    def reached(self, timeout_s: float = 240) -> int:
        """Wait until a process is held; its id. TimeoutError if none gets there."""
        return int(wait_until(self._held, timeout_s).name.partition("-")[2])

    def release(self, until: Point | None = None) -> None:
        """Let go on what is held, to the end or until another point."""
        (self._folder / "armed").unlink(missing_ok=True)
        if until is not None:
            self.arm(until)
        for held in self._folder.glob("held-*"):
            held.unlink()

    def _held(self) -> Path | None:
        return next(iter(self._folder.glob("held-*")), None)
