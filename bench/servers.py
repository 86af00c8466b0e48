"""The receivers that are measured, each as a process of its own."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from helpers.authority import Authority
from helpers.dicom_peers import Orthanc

from bench import ROOT
from service.network.listening_port import bound_port

_START_S = 60.0
_BOTH_READY_S = 5.0
"""Where a port is open before its processes are up, nobody sees from outside when all of them are."""


@contextmanager
def thoracle(folder: Path, port: int) -> Iterator[psutil.Process]:
    """Our receiver as `thoracle serve` starts it, with a new data directory in `folder`."""
    with _running(_receiver(folder, port, {}), port) as process:
        yield process


@contextmanager
def two_of_thoracle(folder: Path, port: int) -> Iterator[psutil.Process]:
    """Two receivers at one port, as `thoracle serve` starts them (`receiver.processes: 2`); the first of them."""
    command = _receiver(folder, port, {"processes": 2})
    with bound_port("127.0.0.1", port) as bound:
        shared = bound.fileno()
        command = [*command, "--listening", str(shared)]
        with _running(command, port, shared) as process, _running(command, port, shared):
            time.sleep(_BOTH_READY_S)
            yield process


def _receiver(folder: Path, port: int, more: Mapping[str, Any]) -> list[str]:
    """Returns its command, after writing its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "thoracle.yaml"
    receiver = {"host": "127.0.0.1", "port": port, **more}
    config.write_text(json.dumps({"data_dir": str(folder / "data"), "receiver": receiver}), encoding="utf-8")
    return ["service", "serve", "--config", str(config), "--role", "receiver"]


@contextmanager
def thoracle_by_tls(folder: Path, port: int) -> Iterator[psutil.Process]:
    """The same with TLS and certificates of both sides, which lie in `folder` for the sender."""
    hospital = Authority(folder)
    certificate, key = hospital.issue("thoracle")
    hospital.issue("sender")
    tls = {"certificate": str(certificate), "key": str(key), "ca": str(hospital.certificate)}
    with _running(_receiver(folder, port, {"tls": tls}), port) as process:
        yield process


@contextmanager
def orthanc(folder: Path, port: int) -> Iterator[psutil.Process]:
    """A PACS as it is installed: it syncs each file, as we do."""
    pacs = Orthanc(folder, DicomPort=port, DicomCheckCalledAet=False)
    pacs.port = port
    with pacs:
        yield psutil.Process(pacs.pid)


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
def _running(module: Sequence[str], port: int, *handed_down: int) -> Iterator[psutil.Process]:
    """`python -m module`, from the moment somebody listens; its log is dropped. handed_down: descriptors of files."""
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=handed_down,
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
