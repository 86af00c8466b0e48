"""The images' definitions: they agree with the sources, and name no registry."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SERVICE, TRITON = ((ROOT / "docker" / name).read_text() for name in ("Dockerfile", "triton/Dockerfile"))


def test_the_version_is_the_projects() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"ARG VERSION={version}\n" in SERVICE
    chart = yaml.safe_load((ROOT / "helm" / "thoracle" / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == version  # of a newer chart no node has the image yet


def test_what_is_copied_is_here_and_let_in() -> None:
    copied = [
        s for line in re.findall(r"^COPY (?!--from)(.+)$", SERVICE + TRITON, re.MULTILINE) for s in line.split()[:-1]
    ]
    sources = {source for source in copied if not source.startswith("--")}
    assert {"service", "triton_repo", "requirements"} <= sources
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sources == let_in
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_bases_are_arguments_and_only_the_services_has_a_default() -> None:
    of_service, of_triton = re.findall(r"^ARG \w*BASE.*$", SERVICE + TRITON, re.MULTILINE)
    assert re.fullmatch(r"ARG BASE=debian:bookworm-slim(@sha256:[0-9a-f]{64})?", of_service)
    assert of_triton == "ARG TRITON_BASE"
    assert set(re.findall(r"^FROM (\S+)", SERVICE, re.MULTILINE)) == {"${BASE}", "system"}
    assert re.findall(r"^FROM (\S+)", TRITON, re.MULTILINE) == ["${TRITON_BASE}"]


USUAL = {
    "sources.list.d/debian.sources": (
        "Types: deb\nURIs: http://deb.debian.org/debian\nURIs: http://deb.debian.org/debian-security\n"
    ),
    "sources.list": "deb http://deb.debian.org/debian bookworm-updates main\n",
}


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    """A system's /etc/apt."""
    for folder in ("sources.list.d", "apt.conf.d"):
        (tmp_path / folder).mkdir()
    for name, text in USUAL.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def sources(apt: Path) -> dict[str, str]:
    return {name: (apt / name).read_text() for name in USUAL}


def run_for_snapshot(apt: Path, number: int, snapshot: str = "20261130T000000Z") -> int:
    """The exit code of what the service's image does if SNAPSHOT is set: 0 before it installs, 1 in the last stage."""
    step = re.findall(r'if \[ -n "\$SNAPSHOT" \]; then \\\n.*?\n    fi', SERVICE, re.DOTALL)[number]
    command = f"SNAPSHOT={snapshot}; {step.replace('/etc/apt', str(apt))}"
    return subprocess.run(["sh", "-ec", command], check=False).returncode


def test_a_snapshot_replaces_every_archive_of_debian(apt: Path) -> None:
    assert run_for_snapshot(apt, 0) == 0
    assert sources(apt) == {
        "sources.list.d/debian.sources": (
            "Types: deb\nURIs: http://snapshot.debian.org/archive/debian/20261130T000000Z\n"
            "URIs: http://snapshot.debian.org/archive/debian-security/20261130T000000Z\n"
        ),
        "sources.list": "deb http://snapshot.debian.org/archive/debian/20261130T000000Z bookworm-updates main\n",
    }


def test_the_image_keeps_the_usual_sources(apt: Path) -> None:
    run_for_snapshot(apt, 0)
    assert run_for_snapshot(apt, 1) == 0
    assert sources(apt) == USUAL
    assert list((apt / "apt.conf.d").iterdir()) == []


@pytest.mark.parametrize(
    "line", ["", "deb http://archive.ubuntu.com/ubuntu noble main\n", "deb https://one.example/ x\n"]
)
def test_a_snapshot_of_sources_that_it_does_not_know_is_refused(apt: Path, line: str) -> None:
    for name in USUAL if not line else ():
        (apt / name).unlink()
    with (apt / "sources.list").open("a") as written:
        written.write(line)
    assert run_for_snapshot(apt, 0) == 1


def test_without_a_snapshot_nothing_is_touched(apt: Path) -> None:
    assert run_for_snapshot(apt, 0, "") == run_for_snapshot(apt, 1, "") == 0
    assert sources(apt) == USUAL


def test_the_chart_finds_the_shipped_models_by_their_link() -> None:
    ((target, link),) = re.findall(r"ln -s (\S+) (\S+)", SERVICE)
    assert target == "/opt/thoracle/lib/python3.*/site-packages/service/triton_repo"
    assert f'"repository" "{link}"' in (ROOT / "helm" / "thoracle" / "templates" / "_config.tpl").read_text()


def test_triton_serves_what_the_service_asks_for() -> None:
    command = TRITON[TRITON.index("CMD exec") :]
    for option in ("--model-control-mode=explicit", "--load-model='*'", '--model-config-name="$MODEL_CONFIG"'):
        assert option in command
    assert re.search(r"^USER (\d+):\d+$", TRITON, re.MULTILINE)
