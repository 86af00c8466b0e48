"""`make parity`: starts a Triton server and runs `thoracle parity` against it; arguments go there.

The server has the models that `thoracle parity` asks it for.
"""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from demo.__main__ import free_ports, stop, wait
from service.cli.options import settings_from

_START_S = 300.0
THORACLE = [sys.executable, "-m", "service"]


def main(arguments: list[str]) -> int:
    models = models_for_triton(arguments)
    grpc, http, metrics = free_ports(3)
    with TemporaryDirectory(prefix="thoracle-parity-") as folder:
        log = Path(folder) / "triton.log"
        ports = ["--grpc", str(grpc), "--http", str(http), "--metrics", str(metrics)]
        own = {"THORACLE_INFERENCE__TRITON__URL": f"127.0.0.1:{grpc}"}
        with log.open("wb") as file:
            command = [*THORACLE, "triton", *ports]
            its = {"THORACLE_DATA_DIR": folder, "THORACLE_INFERENCE__REPOSITORY": str(models)}
            server = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | its)
        try:
            wait(lambda: ready(http), server, time.monotonic() + _START_S, "Triton did not become ready")
            return subprocess.run([*THORACLE, "parity", *arguments], env=os.environ | own).returncode
        except (RuntimeError, TimeoutError) as error:
            print(f"{error}; its log:\n{log.read_text(encoding='utf-8')}", file=sys.stderr)
            return 1
        finally:
            stop(server)


def models_for_triton(arguments: Sequence[str]) -> Path:
    """The repository in which `thoracle parity` with these arguments looks up what it asks Triton for."""
    known = ArgumentParser(add_help=False, allow_abbrev=False)
    known.add_argument("--config", "-c", type=Path, default=os.environ.get("THORACLE_CONFIG"))
    known.add_argument("--repository", type=Path)
    known.add_argument("--candidate", default="triton")
    asked, _ = known.parse_known_args(arguments)
    other = asked.repository if asked.candidate == "triton" else None
    return Path(other or settings_from(asked.config).inference.repository).resolve()


def ready(http: int) -> bool:
    """Whether all models are loaded."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{http}/v2/health/ready", timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
