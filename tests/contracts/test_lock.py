"""The lock: every package has the hashes of its files and one version, and holds what pyproject.toml asks for."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {name: [Requirement(one) for one in lines] for name, lines in PROJECT["optional-dependencies"].items()}
DEPENDENCIES = [Requirement(one) for one in PROJECT["dependencies"]]
PARTS = {
    "service.txt": DEPENDENCIES,
    "gpu.txt": [*(one for one in DEPENDENCIES if one.name != "onnxruntime"), *EXTRAS["gpu"]],
    "tests.txt": [*DEPENDENCIES, *(one for name in ("test", "train", "lungmask", "bench") for one in EXTRAS[name])],
}


def pinned(part: Path) -> Iterator[tuple[Requirement, list[str]]]:
    """Each package of a part of the lock, with the hashes of its files."""
    for entry in re.sub(r"#.*", "", part.read_text()).replace("\\\n", " ").splitlines():
        words, *hashes = entry.split("--hash=")
        if words.strip() and not words.startswith("--"):
            yield Requirement(words.strip()), [one.strip() for one in hashes]


def versions(part: Path) -> dict[str, Version]:
    found = {}
    for requirement, _ in pinned(part):
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", requirement
        found[canonicalize_name(requirement.name)] = Version(specifier.version)
    return found


@pytest.mark.parametrize("part", sorted(LOCK.glob("*.txt")), ids=lambda path: path.stem)
def test_every_package_has_a_hash(part: Path) -> None:
    packages = list(pinned(part))
    assert packages
    assert [one.name for one, hashes in packages if not hashes] == []
    assert [one for _, hashes in packages for one in hashes if not re.fullmatch("sha256:[0-9a-f]{64}", one)] == []


@pytest.mark.parametrize("part", sorted(LOCK.glob("*.txt")), ids=lambda path: path.stem)
def test_pip_builds_nothing_from_source(part: Path) -> None:
    assert re.findall("^--.*$", part.read_text(), re.MULTILINE) == ["--only-binary :all:"]


def test_a_package_has_one_version_everywhere() -> None:
    everywhere: dict[str, set[str]] = {}
    for part in LOCK.glob("*.txt"):
        for name, version in versions(part).items():
            everywhere.setdefault(name, set()).add(version.public)
    assert {name: sorted(found) for name, found in everywhere.items() if len(found) > 1} == {}


@pytest.mark.parametrize("part", PARTS)
def test_what_the_project_asks_for_is_locked(part: str) -> None:
    locked = versions(LOCK / part)
    if part == "tests.txt":  # PyTorch's two builds have parts of their own
        locked |= versions(LOCK / "torch-cpu.txt")
    wrong = [str(one) for one in PARTS[part] if not met(one, locked)]
    assert wrong == []


def met(requirement: Requirement, locked: dict[str, Version]) -> bool:
    version = locked.get(canonicalize_name(requirement.name))
    return version is not None and version in requirement.specifier


def test_both_builds_of_pytorch_are_of_one_version() -> None:
    builds = [versions(LOCK / f"torch-{kind}.txt")["torch"] for kind in ("cpu", "cuda")]
    assert {one.public for one in builds} == {str(one.specifier).removeprefix("==") for one in EXTRAS["train"][:1]}
    assert [one.local for one in builds] == ["cpu", None]


def test_a_gpu_has_one_onnx_runtime() -> None:
    assert "onnxruntime" not in versions(LOCK / "gpu.txt")
    assert "onnxruntime" in versions(LOCK / "service.txt")


WITHOUT_HASHES = {
    "pip install 'thoracle[lungmask]'",  # converts models, never serves; a site without the sources has no lock
    "pip install --no-deps nvidia-pytriton==0.7.0",  # a server for trial; as above
    ".venv/bin/pip install pre-commit",  # a developer's own tool
}


def commands(text: str) -> Iterator[str]:
    """Each single command of shell, Makefile or documentation in which pip installs or downloads."""
    text = text.replace("\\\n", " ")
    for name, value in re.findall(r'^(\w+)="(.*pip .*)"$', text, re.MULTILINE):
        text = text.replace(f'{name}="{value}"', "").replace(f"${name} ", f"{value} ")
    for one in re.split(r"&&|\|\||;|\||\n|`| #", text):
        if re.search(r"pip\S*( --python \S+)? (install|download) +\S", one):
            yield one.strip().removeprefix("sudo ")


def locked(command: str) -> bool:
    """Whether it installs by hash, or only our own sources with nothing that they need."""
    ours = r"--no-deps( --no-build-isolation)? +(-e \.|\.|/wheel/\*\.whl|\"\$work\"/\*\.whl)$"
    return "--require-hashes" in command or re.search(ours, command) is not None


def test_pip_installs_by_hash_only() -> None:
    scripts = [path for folder in ("docker", "requirements", "systemd") for path in (ROOT / folder).rglob("*.sh")]
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "decisions"]
    others = [ROOT / name for name in ("Makefile", "docker/Dockerfile", "README.md", "CONTRIBUTING.md", ".ci/run")]
    found = {path: list(commands(path.read_text())) for path in (*scripts, *pages, *others)}
    for name in ("Makefile", "docker/Dockerfile", "requirements/lock.sh", "systemd/build-deb.sh"):
        assert found[ROOT / name], f"{name}: nothing is found any more"
    assert {one for each in found.values() for one in each if not locked(one)} == WITHOUT_HASHES


@pytest.mark.parametrize(
    "line",
    [
        "pip install --require-hashes -r one.txt && pip install two",
        "pip install two || pip install --require-hashes -r one.txt",
        'all="$pip --python $home install"\n$all two',
        "python -m pip download two; pip install --no-deps -e .",
        "pip install --no-deps . two",
    ],
)
def test_one_command_without_hashes_among_others_is_found(line: str) -> None:
    assert len([one for one in commands(line) if not locked(one)]) == 1
