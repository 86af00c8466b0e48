"""The images' definitions: they agree with the sources, and name no registry."""

import re
import subprocess
import tomllib
from pathlib import Path

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


def test_a_snapshot_replaces_every_archive_of_debian(tmp_path: Path) -> None:
    (expression,) = re.findall(r'sed -i -E \\\s+("s#http://deb[^"]+")', SERVICE)
    sources = tmp_path / "debian.sources"
    sources.write_text(
        "URIs: http://deb.debian.org/debian\nURIs: http://deb.debian.org/debian-security\n"
        "deb http://deb.debian.org/debian bookworm-updates main\n"
    )
    subprocess.run(["sh", "-c", f"SNAPSHOT=20261130T000000Z; sed -i -E {expression} {sources}"], check=True)
    assert sources.read_text() == (
        "URIs: http://snapshot.debian.org/archive/debian/20261130T000000Z\n"
        "URIs: http://snapshot.debian.org/archive/debian-security/20261130T000000Z\n"
        "deb http://snapshot.debian.org/archive/debian/20261130T000000Z bookworm-updates main\n"
    )


def test_the_chart_finds_the_shipped_models_by_their_link() -> None:
    ((target, link),) = re.findall(r"ln -s (\S+) (\S+)", SERVICE)
    assert target == "/opt/thoracle/lib/python3.*/site-packages/service/triton_repo"
    assert f'"repository" "{link}"' in (ROOT / "helm" / "thoracle" / "templates" / "_config.tpl").read_text()


def test_triton_serves_what_the_service_asks_for() -> None:
    command = TRITON[TRITON.index("CMD exec") :]
    for option in ("--model-control-mode=explicit", "--load-model='*'", '--model-config-name="$MODEL_CONFIG"'):
        assert option in command
    assert re.search(r"^USER (\d+):\d+$", TRITON, re.MULTILINE)
