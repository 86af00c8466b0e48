"""Would another way to run the network be faster, and would it say the same? Ratios in one run, parity on real CT.

The service runs what is fastest among those that pass the parity gate (docs/decisions/0064).
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import perf_counter

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from pydicom import dcmread

from bench import ROOT
from bench.cases import DEMO, real_cts
from bench.figures import Figure
from bench.quantise import quantised, with_probability
from bench.variants import BATCH, SERVICE, VARIANTS, session, why_absent
from service.domain.model_spec import ModelSpec
from service.imaging.read import read_ct
from service.inference.conversion import MAX_DIFFERENCE, MAX_FLIPPED, Fidelity
from service.inference.files import MODEL_FILE
from service.inference.onnx import OnnxBackend
from service.pipelines.shared.slices import views_of
from service.settings import load

PART = "providers"

_CALIBRATE_EVERY, _TIME_EVERY = 12, 3
_PPM = 1e6
_GATE = (
    f"the parity gate allows {MAX_DIFFERENCE * _PPM:g} ppm of a probability and {MAX_FLIPPED * _PPM:g} ppm of labels"
)

Slices = NDArray[np.int16]
Sessions = Mapping[str, ort.InferenceSession]


def measure(work: Path, repeat: int) -> Iterator[Figure]:
    """Speed as a ratio to the service's way, memory, and what the parity gate says, of every variant that runs here."""
    repository = load(None).inference.repository
    spec = OnnxBackend(repository).spec("lung-opacity")
    thresholds = np.array([spec.thresholds[name] for name in spec.outputs[0].channels])[:, None, None]
    cts = {ct.name: _slices(ct.folder, spec) for ct in real_cts()}
    models = _models(repository / spec.name / spec.version / MODEL_FILE, _slices(DEMO, spec), work)
    sessions = {name: session(name, model) for name, model in models.items()}
    ratios = speeds(sessions, next(iter(cts.values()))[::_TIME_EVERY], repeat)
    for name, one in sessions.items():
        found = {ct: parity(sessions[SERVICE], one, hu, thresholds) for ct, hu in cts.items() if name != SERVICE}
        verdict = "" if all(p.passed for p in found.values()) else ", fails the parity gate"
        yield Figure(PART, f"{name}: speed / the service's{verdict}", "", ratios[name], more_is_better=True)
        yield Figure(PART, f"{name}: peak memory of its process", "GB", (_peak_gb(name, models[name]),))
        for ct, apart in found.items():
            yield Figure(PART, f"{name}: {ct}: probabilities differ by", "ppm", (apart.difference * _PPM,), note=_GATE)
            yield Figure(PART, f"{name}: {ct}: labels that differ", "ppm", (apart.flipped * _PPM,), note=_GATE)


def speeds(sessions: Sessions, hu: Slices, repeat: int) -> dict[str, tuple[float, ...]]:
    """Speed relative to the service's, once per repetition. Batch by batch all take turns: noise meets all alike."""
    ratios: dict[str, list[float]] = {name: [] for name in sessions}
    for one in sessions.values():
        _run(one, hu[:BATCH])  # the first batch of a shape is prepared for
    for _ in range(repeat):
        seconds = dict.fromkeys(sessions, 0.0)
        for batch in _batches(hu):
            for name, one in sessions.items():
                began = perf_counter()
                _run(one, batch)
                seconds[name] += perf_counter() - began
        for name, took in seconds.items():
            ratios[name].append(seconds[SERVICE] / took)
    return {name: tuple(found) for name, found in ratios.items()}


def parity(
    service: ort.InferenceSession, other: ort.InferenceSession, hu: Slices, thresholds: NDArray[np.float64]
) -> Fidelity:
    """How far the answers for a whole CT are apart. thresholds: shape (class, 1, 1), each class is a label."""
    worst, flipped, labels = 0.0, 0, 0
    for batch in _batches(hu):
        ours, theirs = (_run(one, batch) for one in (service, other))
        worst = max(worst, float(np.abs(ours - theirs).max()))
        flipped += int(np.count_nonzero((ours >= thresholds) != (theirs >= thresholds)))
        labels += ours.size
    return Fidelity(worst, flipped / labels)


def _models(released: Path, calibration: Slices, work: Path) -> dict[str, Path]:
    """Returns the model file of every variant that this machine can run; prints why the others are left out."""
    plain = with_probability(released, work / "float.onnx")
    int8 = quantised(plain, calibration[::_CALIBRATE_EVERY], work / "int8.onnx")
    absent = {name: why for name in VARIANTS if (why := why_absent(name)) is not None}
    for name, why in absent.items():
        print(f"  {PART}: {name} is left out: {why}")
    return {name: int8 if small else plain for name, (small, _) in VARIANTS.items() if name not in absent}


def _slices(folder: Path, spec: ModelSpec) -> Slices:
    """A CT as the network sees it, shape (slice, 1, row, column)."""
    volume = read_ct([dcmread(path) for path in sorted(folder.glob("*.dcm"))]).volume
    return np.concatenate([view.array for view in views_of(volume, spec)])[:, None]


def _batches(hu: Slices) -> Iterator[Slices]:
    """All of one shape, as long as there are enough slices."""
    for first in range(0, len(hu) - BATCH + 1, BATCH):
        yield hu[first : first + BATCH]


def _run(one: ort.InferenceSession, hu: Slices) -> NDArray[np.float32]:
    """The probabilities, shape (slice, class, row, column)."""
    _, probability = one.run(None, {one.get_inputs()[0].name: hu})
    return np.asarray(probability)


def _peak_gb(name: str, model: Path) -> float:
    command = [sys.executable, "-m", "bench.launch", sys.executable, "-m", "bench.variants", name, str(model)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    process = json.loads(done.stdout)
    if process["exit"]:
        raise RuntimeError(f"{name} failed: {done.stderr}")
    return float(process["peak_gb"])
