"""`python -m tests.image.deb PACKAGE.deb`: installs it into a Debian made by debootstrap, and looks at it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BASE = "localhost/debian:bookworm"
ROOT = Path(__file__).parents[2]
AS_SERVICE = ("setpriv", "--reuid=thoracle", "--regid=thoracle", "--clear-groups", "--no-new-privs")


class Debian:
    """A container of buildah's with a Debian in it, used in a `with` block. Needs root."""

    def __init__(self, container: str) -> None:
        self._container = container

    def run(self, *command: str, code: int = 0) -> str:
        """What it prints; AssertionError if its exit code is another."""
        run = ["buildah", "run", "--isolation=chroot", self._container, "--", *command]
        done = subprocess.run(run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == code, f"{command}: {done.returncode}: {done.stdout[-2000:]}"
        return done.stdout

    def copy(self, file: Path) -> str:
        """Where it is inside."""
        subprocess.run(
            ["buildah", "copy", "-q", self._container, str(file), "/root/"], check=True, stdout=subprocess.PIPE
        )
        return f"/root/{file.name}"


@contextmanager
def debian() -> Iterator[Debian]:
    if subprocess.run(["buildah", "inspect", "--type=image", BASE], capture_output=True, check=False).returncode:
        subprocess.run([str(ROOT / "docker" / "debian-base.sh"), BASE], check=True)
    container = subprocess.run(["buildah", "from", BASE], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    try:
        yield Debian(container)
    finally:
        subprocess.run(["buildah", "rm", container], check=True, stdout=subprocess.PIPE)


def checked(system: Debian, package: str) -> Iterator[str]:
    """A sentence for each thing that is as it must be."""
    system.run("apt-get", "update", "-qq")
    apt = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "--no-install-recommends")
    told = system.run(*apt, package)
    assert "write /etc/thoracle/thoracle.yaml" in told, told
    yield "it installs, with what it depends on"
    for path, expected in (
        ("/etc/thoracle", "750 root:thoracle"),
        ("/etc/thoracle/thoracle.yaml", "640 root:thoracle"),
        ("/var/lib/thoracle", "700 thoracle:thoracle"),
        ("/opt/thoracle/bin/thoracle", "755 root:root"),
    ):
        found = system.run("stat", "--format=%a %U:%G", path).strip()
        assert found == expected, f"{path}: {found}"
    yield "configuration and data are the service's user's"
    assert not system.run("sh", "-c", "grep -rlI '/tmp/' /opt/thoracle/bin /opt/thoracle/pyvenv.cfg || true").strip()
    version = system.run(*AS_SERVICE, "thoracle", "version").strip()
    data = ("env", "-u", "THORACLE_CONFIG", "THORACLE_DATA_DIR=/var/lib/thoracle")
    doctor = system.run("sh", "-c", f"cd /; {' '.join((*AS_SERVICE, *data, 'thoracle', 'doctor'))} 2>&1 || true")
    assert "configuration: /etc/thoracle/thoracle.yaml" in doctor, doctor
    yield f"{version}: doctor reads /etc/thoracle/thoracle.yaml"
    system.run("systemd-analyze", "verify", "/usr/lib/systemd/system/thoracle.service")
    yield "systemd understands its unit"
    system.run("sh", "-c", "echo 'log_level: DEBUG' >>/etc/thoracle/thoracle.yaml; touch /var/lib/thoracle/records.db")
    told = system.run(*apt, "--reinstall", package)
    assert "write /etc/thoracle" not in told
    assert "log_level: DEBUG" in system.run("cat", "/etc/thoracle/thoracle.yaml")
    yield "installed again, the configuration stays"
    told = system.run("apt-get", "purge", "-y", "-qq", "thoracle")
    assert "stay in /var/lib/thoracle" in told, told
    system.run("test", "-e", "/var/lib/thoracle/records.db")
    system.run("test", "-e", "/opt/thoracle", code=1)
    yield "purged, patients' data stay and nothing else"


def main(package: Path) -> None:
    print(f"{package.name}: {package.stat().st_size / 1e6:.0f} MB", flush=True)
    with debian() as system:
        for sentence in checked(system, system.copy(package)):
            print(f"  {sentence}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
