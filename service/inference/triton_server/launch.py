"""Start the `tritonserver` of the package nvidia-pytriton with the backend beside this file.

The package brings the real server, with no backend but the one for Python. The backends' folder is made anew at each
start, of copies: the server follows no links.
"""

import os
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from service.errors import Permanent

PACKAGE = "nvidia-pytriton==0.7.0"

_BACKEND = Path(__file__).with_name("onnxruntime_backend.py")
_SHARED_BYTES = 4 * 2**20
"""What a model's process has of shared memory at first, and what it takes more at once."""


@dataclass(frozen=True, slots=True)
class Ports:
    """On loopback."""

    grpc: int = 8001
    http: int = 8000
    metrics: int = 8002


def command(repository: Path, work: Path, ports: Ports, more: Sequence[str] = ()) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of the server, whose backends are laid out in `work`, apart from another server's.

    Permanent if it is not installed. more: options of tritonserver, after ours.
    """
    package = _package()
    backends = _lay_out(package, work / f"backends-{ports.grpc}")
    server = package / "bin" / "tritonserver"
    return [str(server), *_options(repository, backends, ports), *more], _environment(package)


def _package() -> Path:
    found = find_spec("pytriton")
    if found is None or found.origin is None:
        raise Permanent(
            "The Triton server is not installed. In a source tree: make triton. Elsewhere, on Linux x86-64 with glibc "
            f"2.35 or newer: pip install --no-deps {PACKAGE}"
        )
    return Path(found.origin).parent / "tritonserver"


def _lay_out(package: Path, backends: Path) -> Path:
    python = package / "backends" / "python"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = package / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.is_file():
        raise Permanent(f"{PACKAGE} knows no Python {version}.")
    shutil.rmtree(backends, ignore_errors=True)
    for name in ("python", "onnxruntime"):
        (backends / name).mkdir(parents=True)
    for file in (python / "libtriton_python.so", python / "triton_python_backend_utils.py", stub):
        shutil.copy2(file, backends / "python")
    shutil.copy2(_BACKEND, backends / "onnxruntime" / "model.py")
    return backends


def _options(repository: Path, backends: Path, ports: Ports) -> list[str]:
    addresses = {"grpc": ports.grpc, "http": ports.http, "metrics": ports.metrics}
    return [
        f"--model-repository={repository.resolve()}",
        f"--backend-directory={backends.resolve()}",
        "--model-control-mode=explicit",
        "--load-model=*",
        "--exit-on-error=false",
        "--disable-auto-complete-config",
        *(f"--{name}-address=127.0.0.1" for name in addresses),
        *(f"--{name}-port={port}" for name, port in addresses.items()),
        "--allow-gpu-metrics=false",
        "--pinned-memory-pool-byte-size=0",
        f"--backend-config=python,shm-default-byte-size={_SHARED_BYTES}",
        f"--backend-config=python,shm-growth-byte-size={_SHARED_BYTES}",
        "--exit-timeout-secs=10",
    ]


def _environment(package: Path) -> dict[str, str]:
    """The stub takes the Python that comes first in PATH, and it must be this one."""
    libraries = (package.parents[1] / "nvidia_pytriton.libs", sysconfig.get_config_var("LIBDIR"))
    own = {
        "PATH": os.pathsep.join((str(Path(sys.prefix) / "bin"), os.environ.get("PATH", ""))),
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
    }
    return {name: value for name, value in os.environ.items() if name != "PYTHONHOME"} | own
