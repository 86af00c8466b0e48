"""A release of the previous chart version can be upgraded: Kubernetes refuses nothing, no volume is left.

`previous/VERSION` holds value sets of that version and, of what it rendered with them, what nobody can change.
`keep_version.py` keeps one more.
"""

import json
from pathlib import Path

import pytest
import yaml
from fixed_fields import fixed
from helpers.helm_chart import CHART, component, of_kind, render

from service.settings import load, served_repository

pytestmark = pytest.mark.peers

PREVIOUS = Path(__file__).parent / "previous"
KEPT = [pytest.param(f, id=f"{f.parent.name}-{f.stem}") for f in sorted(PREVIOUS.glob("*/*-values.yaml"))]


@pytest.mark.parametrize("values", KEPT)
def test_an_upgrade_changes_nothing_that_kubernetes_keeps_fixed(values: Path) -> None:
    before = json.loads(values.with_name("fixed.json").read_text())[values.name]
    assert before
    now = fixed(render(values))
    assert {name: now.get(name) for name in before} == before


def test_with_a_claim_an_upgrade_never_serves_other_models_than_its(tmp_path: Path) -> None:
    """Not even where they lie in another folder of it, as in 0.1.0: then workers find no repository, and end."""
    manifests = render(PREVIOUS / "0.1.0" / "models-values.yaml")
    (config,) = (one for one in of_kind(manifests, "ConfigMap") if "thoracle.yaml" in one["data"])
    file = tmp_path / "thoracle.yaml"
    file.write_text(config["data"]["thoracle.yaml"])
    served = str(served_repository(load(file)))
    for pod in of_kind(manifests, "Deployment", "StatefulSet"):
        (container,) = pod["spec"]["template"]["spec"]["containers"]
        mounted = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "models"]
        assert mounted == [served], component(pod)


def test_there_is_a_previous_version_and_this_one_is_newer() -> None:
    def number(version: str) -> tuple[int, ...]:
        return tuple(map(int, version.split(".")))

    kept = [number(folder.name) for folder in PREVIOUS.iterdir()]
    assert max(kept) < number(yaml.safe_load((CHART / "Chart.yaml").read_text())["version"])
