"""A real Triton server as `thoracle triton` starts it. Absent: skip with the reason; in CI: fail."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import psutil
import pytest

from helpers.dicom_peers import free_port, wait_until
from service.inference.triton_client import Address


class TritonServer:
    """Used in a `with` block; may be killed and started again on the same ports."""

    def __init__(self, folder: Path, repository: Path, *options: str) -> None:
        """options: of tritonserver."""
        if find_spec("pytriton") is None:
            reason = "nvidia-pytriton is not installed"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port, self._http, self._metrics = free_port(), free_port(), free_port()
        self.address = Address(f"127.0.0.1:{self.port}")
        self._options = options
        self._environment = os.environ | {
            "THORACLE_DATA_DIR": str(folder),
            "THORACLE_INFERENCE__REPOSITORY": str(repository),
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
        self._log.close()

    @contextmanager
    def started(self) -> Iterator[None]:
        """A block that ends it, as `with` does, where `start` was called before."""
        try:
            yield
        finally:
            self.__exit__()

    def start(self) -> None:
        """Its models are loaded when this returns."""
        self._log = (self.folder / "triton.log").open("ab")
        ports = ["--grpc", self.port, "--http", self._http, "--metrics", self._metrics]
        command = [sys.executable, "-m", "service", "triton", *map(str, ports), "--", *self._options]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=self._environment)
        try:
            wait_until(self._ready, 240)
        except TimeoutError:
            self.kill()
            raise TimeoutError(f"Triton did not become ready; log:\n{self.log()}") from None

    def kill(self) -> None:
        """kill -9 of the server and the processes of its models."""
        stubs = self._stubs()
        self._process.kill()
        self._process.wait()
        for stub in stubs:
            _kill(stub)

    def kill_model(self, name: str, instances: int = 1) -> None:
        """kill -9 of some processes that run a model; the server goes on and says that it is ready."""
        of_model = [stub for stub in self._stubs() if f"/{name}/" in stub.cmdline()[1]]
        for stub in of_model[:instances]:
            _kill(stub)

    def pause(self) -> None:
        """The server hangs, as one does that swaps."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        return (self.folder / "triton.log").read_text()

    def metric(self, name: str, model: str) -> float:
        """A counter of one model, all versions."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name) and f'model="{model}"' in line)

    def _stubs(self) -> list[psutil.Process]:
        children = psutil.Process(self._process.pid).children(recursive=True)
        alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        return [child for child in alive if child.name().startswith("triton_python")]

    def _ready(self) -> bool:
        assert self._process.poll() is None, f"Triton ended; log:\n{self.log()}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._http}/v2/health/ready", timeout=5):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def _kill(stub: psutil.Process) -> None:
    """With its shared memory, which outlives it."""
    with suppress(psutil.NoSuchProcess):
        region = stub.cmdline()[2]
        stub.kill()
        (Path("/dev/shm") / region).unlink(missing_ok=True)
