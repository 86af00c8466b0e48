"""The receivers that are measured, each as a process of its own."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench import ROOT

_START_S = 60.0


@contextmanager
def thoracle(folder: Path, port: int) -> Iterator[psutil.Process]:
    """Our receiver as `thoracle serve` starts it, with a new data directory in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "thoracle.yaml"
    receiver = {"host": "127.0.0.1", "port": port}
    config.write_text(json.dumps({"data_dir": str(folder / "data"), "receiver": receiver}), encoding="utf-8")
    command = ["service", "serve", "--config", str(config), "--role", "receiver"]
    with _running(command, port) as process:
        yield process


@contextmanager
def discard(folder: Path, port: int) -> Iterator[psutil.Process]:
    """The yardstick; it writes nothing, so `folder` stays unused."""
    with _running(["bench.discard", str(port)], port) as process:
        yield process


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(module: Sequence[str], port: int) -> Iterator[psutil.Process]:
    """`python -m module`, from the moment it listens; its log is dropped."""
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(process, port)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the receiver did not start: {process.args!r}")
        time.sleep(0.1)
