"""`make parity`: starts a Triton server and runs `thoracle parity` against it; arguments go there."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory

from demo.__main__ import free_ports, stop, wait

_START_S = 300.0
THORACLE = [sys.executable, "-m", "service"]


def main(arguments: list[str]) -> int:
    grpc, http, metrics = free_ports(3)
    with TemporaryDirectory(prefix="thoracle-parity-") as folder:
        log = Path(folder) / "triton.log"
        ports = ["--grpc", str(grpc), "--http", str(http), "--metrics", str(metrics)]
        own = {"THORACLE_INFERENCE__TRITON__URL": f"127.0.0.1:{grpc}"}
        with log.open("wb") as file:
            command = [*THORACLE, "triton", *ports]
            environment = {"THORACLE_DATA_DIR": folder} | os.environ
            server = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
        try:
            wait(lambda: ready(http), server, time.monotonic() + _START_S, "Triton did not become ready")
            return subprocess.run([*THORACLE, "parity", *arguments], env=os.environ | own).returncode
        except (RuntimeError, TimeoutError) as error:
            print(f"{error}; its log:\n{log.read_text()}", file=sys.stderr)
            return 1
        finally:
            stop(server)


def ready(http: int) -> bool:
    """Whether all models are loaded."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{http}/v2/health/ready", timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
