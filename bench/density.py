"""lung-density as a user runs it, and what it takes of a CT whose lungs and lobes another pipeline has found."""

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from pydicom import dcmread

from bench.analyse import run
from bench.cases import Case, cases
from bench.figures import Figure, Target, columns
from service.domain.ports import unheard
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines import named
from service.settings import default_repository

PART = "lung-density"

_SECONDS, _PEAK_GB, _BESIDE_SECONDS = Target(25), Target(2), Target(3)


def measure(work: Path, repeat: int) -> Iterator[Figure]:
    """The CT that the targets name."""
    case = cases()[0]
    runs = columns([run(case.folder, work / "density", "--pipeline", PART) for _ in range(repeat)])
    yield Figure(PART, f"{case.name}: whole command", "s", runs.pop("wall_s"), _SECONDS, note=case.note)
    yield Figure(PART, f"{case.name}: peak memory", "GB", runs.pop("peak_gb"), _PEAK_GB, note=case.note)
    yield Figure(PART, f"{case.name}: CPU time", "s", runs.pop("cpu_s"))
    for stage, seconds in runs.items():
        yield Figure(PART, f"{case.name}: {stage}", "s", seconds)
    yield Figure(PART, f"{case.name}: analysis after covid-severity's", "s", _beside(case, repeat), _BESIDE_SECONDS)


def _beside(case: Case, repeat: int) -> tuple[float, ...]:
    """Seconds of the analysis where lungs and lobes are known."""
    ct = read_ct([dcmread(path) for path in sorted(case.folder.glob("*.dcm"))])
    backend = OnnxBackend(default_repository())
    named("covid-severity").analyse(ct, backend, unheard)
    seconds = []
    for _ in range(repeat):
        began = perf_counter()
        named(PART).analyse(ct, backend, unheard)
        seconds.append(perf_counter() - began)
    return tuple(seconds)
