"""A real receiver process that is fuzzed, and what can be told of it from outside."""

import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil
from helpers.dicom_peers import free_port, wait_until
from helpers.many_hosts import Host

from service.network.peer import DicomNode, echo
from tests.fuzz.tally import HANGS_AFTER_S

AET = "THORACLE"

_UNNAMED = (" ended: ", " failed: ", "Traceback", "Exception in")
"""What a log line holds that tells of an error nobody has foreseen."""


class WatchedReceiver:
    """`thoracle serve --role receiver` with a disk and SQLite, used in a `with` block."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        receiver = {"ae_title": AET, "host": "127.0.0.1", "port": self.port, "min_free_gb": 0.1, "max_associations": 64}
        settings = {"receiver": receiver | {"max_associations_each": 64}}
        self._host = Host(folder, "receiver", settings, {})
        self._read = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._host.kill()

    def start(self) -> None:
        """Also after a crash."""
        self._host.start()
        wait_until(lambda: echo(self.node) is None, 120)
        self.process = self._host.process
        self.begin_peak()

    @property
    def node(self) -> DicomNode:
        return DicomNode("receiver", AET, "127.0.0.1", self.port, "CT1")

    @property
    def alive(self) -> bool:
        return self._host.alive

    def answers(self) -> bool:
        """Whether an echo is answered before it counts as a hang."""
        began = time.monotonic()
        while time.monotonic() - began < HANGS_AFTER_S:
            if echo(self.node) is None:
                return True
            time.sleep(0.1)
        return False

    def unnamed(self) -> list[str]:
        """Lines of the log since the last call that tell of unforeseen errors."""
        lines = self._host.log().splitlines()
        new, self._read = lines[self._read :], len(lines)
        return [line for line in new if any(word in line for word in _UNNAMED)]

    def begin_peak(self) -> None:
        """The peak of memory begins anew (proc(5))."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", encoding="ascii")
        self._before = self._status("VmHWM")

    def peak(self) -> int:
        """Bytes of resident memory at the peak, above what it had before."""
        return self._status("VmHWM") - self._before if self.alive else 0

    @property
    def held(self) -> int:
        """Threads and open files together."""
        process = psutil.Process(self.process.pid)
        return int(process.num_threads() + process.num_fds())

    def say(self, content: bytes, timeout_s: float = HANGS_AFTER_S) -> str | None:
        """Say everything at once, then nothing more; the kinds of PDUs answered, None if it never hangs up."""
        heard = b""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout_s) as connection:
                until = time.monotonic() + timeout_s
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(content)
                    connection.shutdown(socket.SHUT_WR)
                while said := _said(connection, until):
                    heard += said
        except TimeoutError:
            return None
        except ConnectionResetError:
            return _kinds(heard) or "reset"
        except OSError as error:
            if error.errno == 107:  # it has hung up already (ENOTCONN)
                return _kinds(heard) or "reset"
            raise
        return _kinds(heard) or "closed"

    def _status(self, name: str) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


def _said(connection: socket.socket, until: float) -> bytes:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)
    return connection.recv(65536)


_NAMES = {2: "accepted", 3: "rejected", 4: "answered", 6: "released", 7: "aborted"}


def _kinds(heard: bytes) -> str:
    """The kinds of the PDUs, each once in a row."""
    found: list[str] = []
    while len(heard) >= 6:
        name = _NAMES.get(heard[0], f"PDU {heard[0]}")
        if not found or found[-1] != name:
            found.append(name)
        heard = heard[6 + int.from_bytes(heard[2:6], "big") :]
    return ", ".join(found)
