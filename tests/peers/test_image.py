"""The service's image, really built (buildah, a base by debootstrap) and really run: a CT goes in, results come out."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import make_ct
from helpers.programs import program

from tests.image.checks import LABELS, checked, labelled, listed
from tests.image.engines import Image, opened, running_engine
from tests.image.smoke import mounts, serving

pytestmark = [pytest.mark.peers, pytest.mark.timeout(1800)]  # the build is in the first test's time

ROOT = Path(__file__).parents[2]
NAME, SOURCE = "thoracle-test", "https://sources.example/thoracle"


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    if not running_engine():
        for needed in ("buildah", "debootstrap", "unshare"):
            program(needed)
        if os.getuid() and os.environ.get("CI") != "true":
            pytest.skip("buildah needs root to run what it builds")
    environment = {**os.environ, "IMAGE": NAME, "PYTHON": sys.executable, "SOURCE": SOURCE}
    script = ROOT / "docker" / "build-image.sh"
    built = subprocess.run([str(script)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert built.returncode == 0, built.stdout[-5000:]
    with opened(NAME) as there:
        yield there


def test_it_is_restricted_lists_its_parts_and_holds_nothing_else(image: Image, tmp_path: Path) -> None:
    assert len(list(checked(image, tmp_path))) == 4
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    labels = image.config()["Labels"]
    assert (labels["org.opencontainers.image.version"], labels["org.opencontainers.image.source"]) == (version, SOURCE)


def test_a_label_that_says_nothing_is_seen() -> None:
    said = {f"org.opencontainers.image.{name}": "Research use only" for name in LABELS}
    assert labelled({"Labels": said})
    with pytest.raises(AssertionError, match=r"say nothing: .*source"):
        labelled({"Labels": said | {"org.opencontainers.image.source": ""}})


def test_packages_of_another_system_or_without_licence_are_seen() -> None:
    ubuntu = {"ID": "ubuntu", "VERSION_ID": "24.04", "NAME": "Ubuntu"}
    purls = [f"pkg:deb/ubuntu/{name}@1?arch=amd64&distro=ubuntu-24.04" for name in ("libc6", "python3.12")]
    purls += [f"pkg:pypi/{name}@1" for name in ("numpy", "onnxruntime")]
    assert listed(_bill(purls), ubuntu) == "SBOM: 2 Python packages, 2 of Ubuntu"
    with pytest.raises(AssertionError, match="calls packages of Ubuntu pkg:deb/debian"):
        listed(_bill([purl.replace("ubuntu", "debian") for purl in purls]), ubuntu)
    without = _bill(purls)
    del without["components"][0]["licenses"]
    with pytest.raises(AssertionError, match=r"no licence of \['libc6'\]"):
        listed(without, ubuntu)


def test_it_is_of_a_reasonable_size(image: Image) -> None:
    assert image.size_bytes() < 1.3e9


def test_a_ct_goes_through_it(image: Image, tmp_path: Path) -> None:
    make_ct.write(make_ct.make(slices=46, spacing_mm=5.0, study="image").datasets, tmp_path / "ct")
    with serving(image, tmp_path) as served:
        assert served.healthy(mounts(tmp_path))
        assert len(served.round_trip(tmp_path / "ct", tmp_path)) == 5
        assert {path.stat().st_uid for path in (tmp_path / "data").iterdir()} == {10001}
        assert served.stop() == 0


def test_a_service_that_is_not_there_is_unhealthy(image: Image, tmp_path: Path) -> None:
    command = image.config()["Healthcheck"]["Test"][1:]
    assert image.start(mounts(tmp_path), ("env", "THORACLE_API__PORT=9", *command), stderr=subprocess.DEVNULL).wait(60)


def _bill(purls: list[str]) -> dict[str, Any]:
    named = {"licenses": [{"license": {"id": "MIT"}}]}
    components: list[dict[str, Any]] = [
        {"name": purl.split("/")[-1].split("@")[0], "purl": purl} | named for purl in purls
    ]
    return {"bomFormat": "CycloneDX", "metadata": {"component": {"name": "thoracle"}}, "components": components}
