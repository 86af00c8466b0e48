"""Several hosts on one machine: a process of the service each, with its own data directory and its own log.

What they share is what `settings` names: a PostgreSQL database and an S3 bucket.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class Host:
    """One process: `thoracle serve --role ROLE`. May be killed and started again."""

    def __init__(
        self,
        folder: Path,
        role: str,
        settings: Mapping[str, Any],
        environment: Mapping[str, str],
        within: Sequence[str] = (),
    ) -> None:
        """settings: thoracle.yaml, but for the data directory. within: the command that runs the process, if any."""
        folder.mkdir(parents=True, exist_ok=True)
        self.name, self.role = folder.name, role
        self._log = folder / "service.log"
        config = folder / "thoracle.yaml"
        config.write_text(json.dumps({"data_dir": str(folder / "data"), **settings}))
        self._command = [*within, sys.executable, "-m", "service", "serve", "--config", str(config), "--role", role]
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The one that was started last."""
        assert self._process is not None, "it was never started"
        return self._process

    def kill(self) -> None:
        """SIGKILL, if it is alive."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self, timeout_s: float = 60) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def log(self) -> str:
        return self._log.read_text()
