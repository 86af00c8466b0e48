"""The chart's alerts and dashboards are the repository's, in a packed chart too."""

import json
import tarfile
from pathlib import Path

import pytest
import yaml
from helpers.helm_chart import CHART, ROOT, helm, of_kind, render

pytestmark = pytest.mark.peers

ALERTS = ROOT / "docker" / "prometheus" / "alerts.yaml"
DASHBOARDS = {file.name: file.read_text() for file in (ROOT / "docker" / "grafana" / "dashboards").glob("*.json")}


def test_rules_and_dashboards_are_rendered_unchanged() -> None:
    manifests = render(CHART / "ci" / "autoscaling-values.yaml")
    (rules,) = of_kind(manifests, "PrometheusRule")
    assert rules["spec"] == yaml.safe_load(ALERTS.read_text())
    (boards,) = (one for one in of_kind(manifests, "ConfigMap") if one["metadata"]["name"].endswith("-dashboards"))
    assert DASHBOARDS
    assert boards["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert {name: json.loads(text) for name, text in boards["data"].items()} == {
        name: json.loads(text) for name, text in DASHBOARDS.items()
    }


def test_a_packed_chart_holds_them(tmp_path: Path) -> None:
    result = helm("package", "--destination", str(tmp_path))
    assert result.returncode == 0, result.stderr
    with tarfile.open(next(tmp_path.glob("*.tgz"))) as chart:
        alerts = chart.extractfile("thoracle/files/alerts.yaml")
        assert alerts is not None
        assert alerts.read() == ALERTS.read_bytes()
        assert {f"thoracle/files/dashboards/{name}" for name in DASHBOARDS} <= set(chart.getnames())
