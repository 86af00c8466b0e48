"""What a Triton server on the same two cores costs: the inference of a CT in process, by shared memory, by messages.

What the pipeline asks for is written down once; then the three take turns, call by call, so that noise meets all alike.
The figures of Triton are ratios to in process.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from pydicom import dcmread

from bench import ROOT
from bench.cases import cases
from bench.figures import Figure, Target
from bench.launch import CORES
from bench.servers import free_port
from service.composition.analysis import pipelines
from service.domain.ports import Array, Backend
from service.errors import Transient
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.inference.triton import TritonBackend
from service.inference.triton_client import Address
from service.settings import load

PART = "triton"

_RATIO = Target(1.1)
_START_S = 300.0
_IN_PROCESS, _SHARED = "in process", "shared memory"

Call = tuple[str, Mapping[str, Array]]
"""A model's name and its inputs."""


class Noted(OnnxBackend):
    """Notes what it is asked."""

    calls: list[Call]

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.calls.append((name, {key: array.copy() for key, array in inputs.items()}))
        return super().infer(name, inputs)


def measure(work: Path, repeat: int) -> Iterator[Figure]:
    """Seconds of all calls of one analysis, two at once."""
    models, case = load(None).inference.repository, cases()[0]
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(everywhere)[:CORES])
    try:
        calls = _calls(case.folder, models)
        with _server(work, models) as address:
            ways: dict[str, Backend] = {
                _IN_PROCESS: OnnxBackend(models, CORES),
                _SHARED: TritonBackend(models, address, concurrency=CORES, shared_memory="always"),
                "messages": TritonBackend(models, address, concurrency=CORES, shared_memory="never"),
            }
            for way in ways.values():
                way.check()
                _seconds(way, calls[:CORES])
            runs = [_take_turns(ways, calls) for _ in range(repeat)]
    finally:
        os.sched_setaffinity(0, everywhere)
    yield Figure(PART, f"{case.name}: {_IN_PROCESS}", "s", tuple(run[_IN_PROCESS] for run in runs), note=case.note)
    for name in list(ways)[1:]:
        ratios = tuple(run[name] / run[_IN_PROCESS] for run in runs)
        target = _RATIO if name == _SHARED and case.judged else None
        yield Figure(PART, f"{case.name}: by Triton, {name} / {_IN_PROCESS}", "", ratios, target, note=case.note)


def _calls(folder: Path, models: Path) -> list[Call]:
    """In the order in which they were made: lobes and opacities are asked for at once."""
    noted = Noted(models, CORES)
    noted.calls = []
    ct = read_ct([dcmread(path) for path in sorted(folder.glob("*.dcm"))])
    pipelines(load(None))[0].analyse(ct, noted, lambda _stage, _fraction: None)
    return noted.calls


def _take_turns(ways: Mapping[str, Backend], calls: Sequence[Call]) -> dict[str, float]:
    seconds = dict.fromkeys(ways, 0.0)
    for first in range(0, len(calls), CORES):
        for name, way in ways.items():
            seconds[name] += _seconds(way, calls[first : first + CORES])
    return seconds


def _seconds(way: Backend, calls: Sequence[Call]) -> float:
    """Of calls that are made at once."""
    with ThreadPoolExecutor(CORES) as threads:
        began = perf_counter()
        list(threads.map(lambda call: way.infer(*call), calls))
        return perf_counter() - began


@contextmanager
def _server(work: Path, models: Path) -> Iterator[Address]:
    """`thoracle triton`, which inherits our cores."""
    grpc, http, metrics = (str(free_port()) for _ in range(3))
    command = [sys.executable, "-m", "service", "triton", "--grpc", grpc, "--http", http, "--metrics", metrics]
    environment = os.environ | {"THORACLE_DATA_DIR": str(work), "THORACLE_INFERENCE__REPOSITORY": str(models)}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet)
    try:
        address = Address(f"127.0.0.1:{grpc}")
        _wait_for(process, TritonBackend(models, address))
        yield address
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(process: "subprocess.Popen[bytes]", backend: Backend) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            return backend.check()
        except Transient as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the Triton server did not start; is it installed? make triton") from error
        time.sleep(0.5)
