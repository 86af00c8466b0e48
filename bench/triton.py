"""What a Triton server on the same two cores costs: the inference of a CT in process, by shared memory, by messages.

All three take turns, so that noise meets all alike; the figures of a Triton server are ratios to the same turn in
process.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from pydicom import dcmread

from bench import ROOT
from bench.cases import cases
from bench.figures import Figure, Target
from bench.launch import CORES
from bench.servers import free_port
from service.domain.ports import Backend
from service.errors import Transient
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.inference.triton import TritonBackend
from service.inference.triton_client import Address
from service.main import pipeline
from service.settings import load

PART = "triton"

_RATIO = Target(1.1)
_START_S = 120.0


def measure(work: Path, repeat: int) -> Iterator[Figure]:
    """Seconds of the pipeline, from HU to masks and measurements, without reading and encoding."""
    settings = load(None)
    case = cases()[0]
    ct = read_ct([dcmread(path) for path in sorted(case.folder.glob("*.dcm"))])
    analyse = pipeline(settings.pipeline).analyse
    models = settings.inference.repository
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(everywhere)[:CORES])
    try:
        with _server(work) as address:
            ways: dict[str, Backend] = {
                "in process": OnnxBackend(models),
                "shared memory": TritonBackend(models, address, shared_memory="always"),
                "messages": TritonBackend(models, address, shared_memory="never"),
            }
            for way in ways.values():
                way.check()
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(repeat):
                for name, way in ways.items():
                    began = perf_counter()
                    analyse(ct, way, lambda _stage, _fraction: None)
                    seconds[name].append(perf_counter() - began)
    finally:
        os.sched_setaffinity(0, everywhere)
    in_process = seconds.pop("in process")
    yield Figure(PART, f"{case.name}: in process", "s", tuple(in_process), note=case.note)
    for name, took in seconds.items():
        ratios = tuple(there / here for there, here in zip(took, in_process, strict=True))
        target = _RATIO if name == "shared memory" else None
        yield Figure(PART, f"{case.name}: by Triton, {name} / in process", "", ratios, target, note=case.note)


@contextmanager
def _server(work: Path) -> Iterator[Address]:
    """`thoracle triton` with the shipped models, which inherits our cores."""
    ports = [free_port() for _ in range(3)]
    options = [
        word for name, port in zip(("grpc", "http", "metrics"), ports, strict=True) for word in (f"--{name}", str(port))
    ]
    environment = os.environ | {"THORACLE_DATA_DIR": str(work)}
    command = [sys.executable, "-m", "service", "triton", *options]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = Address(f"127.0.0.1:{ports[0]}")
        _wait_for(process, address)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(process: "subprocess.Popen[bytes]", address: Address) -> None:
    backend = TritonBackend(load(None).inference.repository, address)
    deadline = time.monotonic() + _START_S
    while True:
        try:
            return backend.check()
        except Transient as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the Triton server did not start; is it installed? make triton") from error
        time.sleep(0.5)
