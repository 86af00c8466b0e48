"""What was tried and what came of it, and the findings that are kept."""

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz import ROOT

HANGS_AFTER_S = 30.0
"""An answer that takes longer is a hang."""

FOUND = ROOT / "build" / "fuzz"
"""Each finding has a folder here, with what reproduces it."""


@dataclass
class Tally:
    """One kind of input. seed: of the whole run. ends: how often the cases ended in which way. statuses: how often
    the receiver answered which before.

    peaks: resident memory in bytes by process, above what it had before. A finding is counted once, under its worst.
    """

    kind: str
    seed: int
    folder: Path = FOUND
    tried: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    hangs: int = 0
    unnamed: int = 0
    seconds: float = 0.0
    peaks: dict[str, int] = field(default_factory=dict)

    @property
    def findings(self) -> int:
        return self.crashes + self.hangs + self.unnamed

    def chance(self, number: int) -> random.Random:
        """Chance of one case, which does not depend on the others."""
        return random.Random(f"{self.kind} {self.seed} {number}")

    def ended(self, end: str) -> None:
        """Count a case that ended by name."""
        self.tried += 1
        self.ends[end] += 1

    def peak(self, process: str, size: int) -> None:
        self.peaks[process] = max(size, self.peaks.get(process, 0))

    def crash(self, case: str, why: str, files: dict[str, bytes]) -> None:
        self.crashes += 1
        self._keep("crash", case, why, files)

    def hang(self, case: str, why: str, files: dict[str, bytes]) -> None:
        self.hangs += 1
        self._keep("hang", case, why, files)

    def without_name(self, case: str, why: str, files: dict[str, bytes]) -> None:
        self.unnamed += 1
        self._keep("unnamed", case, why, files)

    def as_document(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "seed": self.seed,
            "tried": self.tried,
            "crashes": self.crashes,
            "hangs": self.hangs,
            "unnamed": self.unnamed,
            "seconds": round(self.seconds),
            "peaks_mb": {process: round(size / 1e6) for process, size in self.peaks.items()},
            "statuses": dict(self.statuses.most_common()),
            "ends": dict(self.ends.most_common()),
        }

    def _keep(self, what: str, case: str, why: str, files: dict[str, bytes]) -> None:
        self.tried += 1
        self.ends[what] += 1
        folder = self.folder / f"{self.kind}-{self.seed}-{what}-{self.tried:05d}".replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "finding.json").write_text(json.dumps({"what": what, "case": case, "why": why}, indent=1))
        for name, content in files.items():
            (folder / name).write_bytes(content)
        print(f"  {what}: {case} ({folder})", flush=True)
