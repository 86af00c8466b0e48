"""The API alone as a process of its own: `thoracle serve --role api`."""

import json
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from helpers.dicom_peers import free_port, wait_until
from service.composition.users import users
from service.settings import load


class RunningApi:
    """Used in a `with` block, after `configure`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = folder / "thoracle.yaml"
        self.configure()

    def configure(self, settings: dict[str, Any] | None = None, **api: Any) -> None:
        """Write the configuration. api: settings below `api`; settings: others."""
        known: dict[str, Any] = {"data_dir": str(self.folder / "data"), "api": {"port": self.port} | api}
        self.config.write_text(json.dumps(known | (settings or {})))

    def __enter__(self) -> Self:
        self._log = (self.folder / "api.log").open("ab")
        command = [sys.executable, "-m", "service", "serve", "--config", str(self.config), "--role", "api"]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        wait_until(self._listens, 60)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._log.close()

    def log(self) -> str:
        return (self.folder / "api.log").read_text()

    def trail(self) -> list[Any]:
        """Entries of the audit trail, the latest first."""
        _, _, audit = users(load(self.config))
        return list(audit.entries())

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.log()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
            return True
        return False
