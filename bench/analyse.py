"""`thoracle analyse` as a user runs it: a process on two cores, from its start to its exit."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench import ROOT
from bench.cases import cases
from bench.figures import Figure, Target, columns

PART = "analyse"

_SECONDS = Target(30)
_INFERENCE_SECONDS = Target(10)
_PEAK_GB = Target(2)
_INFERENCE = ("lungs", "lobes", "opacities", "measure")
"""Stages from the CT in HU to the masks and what is measured in them."""


def measure(work: Path, repeat: int) -> Iterator[Figure]:
    """RuntimeError when an analysis does not end with a result."""
    for case in cases():
        runs = columns([run(case.folder, work / "results") for _ in range(repeat)])
        process = {key: runs.pop(key) for key in ("wall_s", "peak_gb", "cpu_s")}
        inference = tuple(map(sum, zip(*(runs[stage] for stage in _INFERENCE), strict=True)))
        seconds, inference_s, peak_gb = (_SECONDS, _INFERENCE_SECONDS, _PEAK_GB) if case.judged else (None, None, None)
        yield Figure(PART, f"{case.name}: whole command", "s", process["wall_s"], seconds, note=case.note)
        name = f"{case.name}: inference (lungs, lobes, opacities)"
        yield Figure(PART, name, "s", inference, inference_s, note=case.note)
        yield Figure(PART, f"{case.name}: peak memory", "GB", process["peak_gb"], peak_gb, note=case.note)
        yield Figure(PART, f"{case.name}: CPU time", "s", process["cpu_s"])
        for stage, stage_s in runs.items():
            yield Figure(PART, f"{case.name}: {stage}", "s", stage_s)


def run(folder: Path, out: Path, *arguments: str) -> dict[str, float]:
    """Seconds of the command and of its stages, and its peak memory in GB. arguments: further ones of `analyse`."""
    command = [sys.executable, "-m", "service", "analyse", str(folder), "--out", str(out), *arguments]
    launch = [sys.executable, "-m", "bench.launch", *command]
    done = subprocess.run(launch, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"bench.launch failed: {done.stderr}")
    process = json.loads(done.stdout)
    if process.pop("exit"):
        raise RuntimeError(f"thoracle analyse failed: {done.stderr}")
    stages = json.loads((out / "result.json").read_text(encoding="utf-8"))["timings_s"]
    outside = process["wall_s"] - sum(stages.values())
    return {**process, **stages, "start, models, writing (the rest)": outside}
