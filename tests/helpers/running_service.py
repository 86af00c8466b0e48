"""The whole service as a user runs it: `thoracle serve` in processes of its own, watched through its API."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import psutil

from helpers.dicom_peers import free_port, wait_until

AET = "THORACLE"


class RunningService:
    """Used in a `with` block; may be stopped, killed and started again on the same data."""

    def __init__(
        self,
        folder: Path,
        destination: tuple[str, int] | None,
        *,
        environment: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        """destination: AE title and port on this machine. settings: more of thoracle.yaml, over the one here.

        environment: over the one of this process.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._environment = {**os.environ, **(environment or {})}
        own: dict[str, Any] = settings.pop("receiver", {})
        self.port = own.get("port") or free_port()
        self.http_port = free_port()
        self.config = folder / "thoracle.yaml"
        receiver = {"ae_title": AET, "host": "127.0.0.1", "port": self.port, "quiet_s": 2, "min_free_gb": 0.1}
        configuration: dict[str, Any] = {
            "data_dir": str(folder / "data"),
            "receiver": receiver | own,
            "api": {"port": self.http_port},
        }
        if destination:
            ae_title, port = destination
            configuration["destinations"] = {
                "pacs": {"ae_title": ae_title, "host": "127.0.0.1", "port": port, "retry_delays_s": [1]}
            }
        self.config.write_text(json.dumps(configuration | settings))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.stop()
        self._log.close()

    def start(self) -> None:
        self._log = (self.folder / "service.log").open("ab")
        command = [sys.executable, "-m", "service", "serve", "--config", str(self.config)]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log, env=self._environment)
        try:
            wait_until(lambda: self.get("/readyz"), 240)
        except TimeoutError:
            self._process.terminate()
            raise TimeoutError(f"the service did not become ready; log:\n{self.log()}") from None

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def kill(self) -> None:
        """kill -9 of the supervisor: its children notice and stop by themselves."""
        self._process.kill()
        self._process.wait()

    def processes(self, role: str) -> list[psutil.Process]:
        """The living processes of a role."""
        children = psutil.Process(self._process.pid).children()
        return [c for c in children if c.is_running() and c.cmdline()[-1:] == [role]]

    def get(self, path: str) -> Any | None:
        """The JSON at `path` of the API; None while nobody answers, or for an answer that is not 200."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=5) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/metrics", timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, newest first."""
        return list((self.get("/api/jobs") or {"jobs": []})["jobs"])

    def wait_for_job(self, state: str, number: int = 1, timeout_s: float = 240) -> dict[str, Any]:
        """The newest job, when `number` jobs exist and it is in `state`."""

        def reached() -> dict[str, Any] | None:
            jobs = self.jobs()
            newest = jobs[0] if len(jobs) == number else None
            if newest and newest["state"] == state:
                return newest
            ended = newest and newest["state"] in ("refused", "failed", "delivered", "undelivered")
            assert not ended, f"the job ended as {newest}; log:\n{self.log()}"
            return None

        return dict(wait_until(reached, timeout_s))

    def log(self) -> str:
        return (self.folder / "service.log").read_text()
