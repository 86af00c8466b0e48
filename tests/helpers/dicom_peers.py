"""Real DICOM peers as processes: DCMTK's tools and Orthanc. Absent: skip with the reason; in CI: fail."""

import fcntl
import json
import os
import random
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

# DCMTK and Orthanc stall about 45 ms on every C-STORE without it.
ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}

_FOLDERS = (Path("/usr/bin"), Path("/usr/sbin"))
_PLUGINS = Path("/usr/share/orthanc/plugins")
# One byte for each port: it is locked by the process that the port was given to.
_PORTS = os.open(Path(tempfile.gettempdir(), f"thoracle-test-ports-{os.getuid()}"), os.O_WRONLY | os.O_CREAT, 0o600)
_TAKEN: set[int] = set()


def require(name: str) -> str:
    """Path of a peer's program. Not looked up in PATH: pynetdicom installs scripts with the names of DCMTK's."""
    for folder in _FOLDERS:
        if (folder / name).exists():
            return str(folder / name)
    reason = f"{name} is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """A port that nobody listens on, and that no other test process is given while this one lives.

    Below those that the system takes for outgoing connections: one of these could take it meanwhile.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        try:
            fcntl.lockf(_PORTS, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)  # until this process ends
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        if port not in _TAKEN:
            _TAKEN.add(port)
            return port


def dcmtk(tool: str, *arguments: object, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    """Run one of DCMTK's tools to its end."""
    command = [require(tool), *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout_s)


def start_dcmtk(tool: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Start one of DCMTK's tools."""
    command = [require(tool), *map(str, arguments)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_until(condition: Callable[[], Any], timeout_s: float = 30) -> Any:
    """The first true value of `condition`; TimeoutError if there is none in time.

    It looks every 0.05 s at first and every 0.25 s in the end: to look is work for what is waited for too.
    """
    began = time.monotonic()
    while not (value := condition()):
        waited_s = time.monotonic() - began
        if waited_s > timeout_s:
            raise TimeoutError("the condition did not come true")
        time.sleep(min(0.25, 0.05 + waited_s / 50))
    return value


class _Process:
    """A server used in a `with` block. host: where it is reached; within: the command that runs it, if any."""

    port: int
    host = "127.0.0.1"
    within: Sequence[str] = ()

    def _command(self) -> list[str]:
        raise NotImplementedError

    def __enter__(self) -> Self:
        command = [*self.within, *self._command()]
        self._process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._listens)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _listens(self) -> bool:
        assert self._process.poll() is None, "the peer did not start"
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0


class StoreScp(_Process):
    """DCMTK's storescp. options: more of its arguments."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self._options = options
        folder.mkdir(parents=True, exist_ok=True)

    def _command(self) -> list[str]:
        # +B keeps the bytes as they come; any SOP class is accepted.
        options = ["-pm", "+B", "-od", str(self.folder), *self._options]
        return [require("storescp"), *options, str(self.port)]

    @property
    def received(self) -> list[Path]:
        return sorted(self.folder.iterdir())


class QueryScp(_Process):
    """DCMTK's dcmqrscp: one storage area; queries must keep to the hierarchy (PS3.4 C.4.1.2.1)."""

    AET = "QUERIES"

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._configuration = folder / "dcmqrscp.cfg"
        (folder / "db").mkdir(parents=True)
        lines = [
            f"NetworkTCPPort = {self.port}",
            "MaxPDUSize = 16384",
            "MaxAssociations = 16",
            "HostTable BEGIN",
            "HostTable END",
            "VendorTable BEGIN",
            "VendorTable END",
            "AETable BEGIN",
            f"{self.AET} {folder / 'db'} RW (200, 1024mb) ANY",
            "AETable END",
        ]
        self._configuration.write_text("\n".join(lines) + "\n")

    def _command(self) -> list[str]:
        return [require("dcmqrscp"), "--check-find", "--config", str(self._configuration)]


class Orthanc(_Process):
    """A PACS. options: more of its configuration, over the one here."""

    AET = "TESTPACS"

    def __init__(self, folder: Path, **options: Any) -> None:
        self.port = free_port()
        self.http_port = free_port()
        self._configuration = folder / "orthanc.json"
        folder.mkdir(parents=True, exist_ok=True)
        plugins = [str(_PLUGINS / name) for name in ("libOrthancDicomWeb.so", "libOrthancGdcm.so")]
        configuration = {
            "Name": "test",
            "StorageDirectory": str(folder / "db"),
            "IndexDirectory": str(folder / "db"),
            "Plugins": plugins,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAet": self.AET,
            "DicomPort": self.port,
            "DicomCheckCalledAet": True,
            "DicomAlwaysAllowFind": True,
            "StableAge": 2,
            "OverwriteInstances": True,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        self._configuration.write_text(json.dumps(configuration | options))

    def _command(self) -> list[str]:
        return [require("Orthanc"), str(self._configuration)]

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.http_port}"

    def get(self, path: str) -> Any:
        """The JSON at `path` of the REST API."""
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)

    def post(self, path: str, text: str) -> Any:
        """The JSON that the REST API answers to a text."""
        asked = urllib.request.Request(self.url + path, text.encode(), method="POST")
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)

    def file(self, instance: str) -> bytes:
        """The DICOM file of an instance, by its Orthanc identifier."""
        with urllib.request.urlopen(f"{self.url}/instances/{instance}/file", timeout=30) as answer:
            content: bytes = answer.read()
            return content
