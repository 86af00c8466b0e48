"""A chest in thin slices against the same chest in thicker ones: time should follow its millimetres."""

from collections.abc import Iterator
from pathlib import Path

from helpers.thin_ct import thinner

from bench import ROOT
from bench.analyse import run
from bench.figures import Figure, Target, columns

PART = "thin"

_SOURCE = ROOT.parent / "shared" / "data" / "dicom" / "lidc" / "LIDC-IDRI-0001"
_SLICES = 131
_RATIO, _PEAK_GB = Target(1.6), Target(2.5)


def measure(work: Path, repeat: int) -> Iterator[Figure]:
    """261 slices 1.25 mm apart and 1,041 slices 0.31 mm apart; nothing where the CT is not beside the project."""
    if not _SOURCE.is_dir():
        return
    folders = [thinner(_SOURCE, work / f"thin-{factor}", factor, _SLICES) for factor in (2, 8)]
    thick, thin = (columns([run(folder, work / "thin") for _ in range(repeat)]) for folder in folders)
    for name, runs in (("261 slices", thick), ("1,041 slices", thin)):
        for stage, seconds in runs.items():
            if stage != "peak_gb":
                yield Figure(PART, f"{name}: {stage}", "s", seconds)
    yield Figure(PART, "261 slices: peak memory", "GB", thick["peak_gb"])
    yield Figure(PART, "1,041 slices: peak memory", "GB", thin["peak_gb"], _PEAK_GB)
    ratio = tuple(b / a for a, b in zip(thick["wall_s"], thin["wall_s"], strict=True))
    yield Figure(PART, "whole command, 1,041 slices / 261 slices", "", ratio, _RATIO)
