"""The machine that figures belong to: without it they mean nothing."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import psutil

from bench import ROOT
from service.ops.processor import processor

_PACKAGES = ("numpy", "scipy", "SimpleITK", "onnxruntime", "pydicom", "pynetdicom", "highdicom", "reportlab")
_IMAGE_BYTES = 2**19
_SYNCS = 50


def describe(work: Path) -> dict[str, Any]:
    """work: the folder on whose disk the benchmark writes; nothing here names a path, host or user."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", "service", "bench", "triton_repo")),
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "memory_available_gb": round(psutil.virtual_memory().available / 1e9, 1),
        "load_average_before": [round(load, 2) for load in os.getloadavg()],
        "disk_sync_ms": round(1000 * _sync_s(work), 2),
        "os": platform.freedesktop_os_release()["PRETTY_NAME"],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _sync_s(folder: Path) -> float:
    """Median seconds to write one image's bytes durably: what every received image costs at the very least."""
    path, content = folder / "sync", os.urandom(_IMAGE_BYTES)
    seconds = []
    for _ in range(_SYNCS):
        began = perf_counter()
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        seconds.append(perf_counter() - began)
    path.unlink()
    return median(seconds)
