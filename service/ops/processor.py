"""The processor that computes the results: they are the same bytes on one kind of it (docs/decisions/0130)."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def processor() -> str:
    """Returns the name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return ", ".join(sorted(names)) or platform.machine()


def computes(provider: str = "cpu") -> str:
    """Returns in words what the networks run on: processor, cores that this process may use, version of the runtime.

    provider: of ONNX Runtime in this process.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    where = "" if provider == "cpu" else f", networks on the GPU ({provider})"
    return f"{processor()}, cores: {cores}, ONNX Runtime {_runtime()}{where}"


def _runtime() -> str:
    """Its version, of either of the two packages that bring it."""
    for package in ("onnxruntime", "onnxruntime-gpu"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "not installed"
