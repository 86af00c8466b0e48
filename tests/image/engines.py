"""Two ways to run an image with the restrictions of compose.yaml: Docker, and namespaces around buildah's files."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

DATA, CONFIG = "/var/lib/thoracle", "/etc/thoracle/thoracle.yaml"


@dataclass(frozen=True, slots=True)
class Mounts:
    """What a container gets from the host. data: writable by everybody; config: thoracle.yaml."""

    data: Path
    config: Path


class Image(Protocol):
    """An image that is there."""

    def config(self) -> Mapping[str, Any]:
        """Its configuration with Docker's names: User, Env, Labels, Healthcheck, ..."""
        ...

    def size_bytes(self) -> int: ...

    def start(self, mounts: Mounts, command: Sequence[str] = (), **options: Any) -> subprocess.Popen[str]:
        """A container on the host's network. command: in place of entry point and command.

        options: of subprocess.Popen.
        """
        ...

    def terminate(self, container: subprocess.Popen[str]) -> None:
        """SIGTERM to the container's first process."""
        ...


class DockerImage:
    """An image of the Docker engine."""

    def __init__(self, name: str) -> None:
        self._name = name

    def config(self) -> Mapping[str, Any]:
        found: dict[str, Any] = self._inspect()["Config"]
        return found

    def size_bytes(self) -> int:
        return int(self._inspect()["Size"])

    def start(self, mounts: Mounts, command: Sequence[str] = (), **options: Any) -> subprocess.Popen[str]:
        restrictions = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
        volumes = [f"--volume={mounts.data}:{DATA}", f"--volume={mounts.config}:{CONFIG}:ro"]
        entry = [f"--entrypoint={command[0]}"] if command else []
        run = ["docker", "run", "--rm", "--network=host", *restrictions, *volumes, *entry, self._name, *command[1:]]
        return subprocess.Popen(run, text=True, **options)

    def terminate(self, container: subprocess.Popen[str]) -> None:
        container.terminate()  # `docker run` hands it on

    def _inspect(self) -> Any:
        return json.loads(_output("docker", "image", "inspect", self._name))[0]


class BuildahImage:
    """An image of buildah's storage, mounted while used in a `with` block. Needs root."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> Self:
        self._container = _output("buildah", "from", "--pull-never", self._name).strip()
        self._root = Path(_output("buildah", "mount", self._container).strip())
        return self

    def __exit__(self, *_: object) -> None:
        _output("buildah", "rm", self._container)

    def config(self) -> Mapping[str, Any]:
        found: dict[str, Any] = json.loads(_output("buildah", "inspect", "--type=image", self._name))["Docker"][
            "config"
        ]
        return found

    def size_bytes(self) -> int:
        """Of its files, on the disk."""
        return 1024 * int(_output("du", "-sk", str(self._root)).split()[0])

    def start(self, mounts: Mounts, command: Sequence[str] = (), **options: Any) -> subprocess.Popen[str]:
        config = self.config()
        uid, gid = config["User"].split(":")
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        enter = ["sh", str(Path(__file__).with_name("enter.sh")), str(self._root), str(mounts.data), str(mounts.config)]
        inside = list(command) or [*config["Entrypoint"], *config["Cmd"]]
        # env -i: the image's own environment, and nothing of this process.
        return subprocess.Popen(
            [*namespaces, *enter, uid, gid, "env", "-i", *config["Env"], *inside], text=True, **options
        )

    def terminate(self, container: subprocess.Popen[str]) -> None:
        children = Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text()
        os.kill(int(children), signal.SIGTERM)


@contextmanager
def opened(name: str) -> Iterator[Image]:
    """The image of that name, of Docker where it runs, else of buildah."""
    if running_engine():
        yield DockerImage(name)
        return
    with BuildahImage(name) as image:
        yield image


def running_engine() -> bool:
    """Does a Docker engine answer?"""
    return shutil.which("docker") is not None and not subprocess.run(["docker", "info"], capture_output=True).returncode


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
