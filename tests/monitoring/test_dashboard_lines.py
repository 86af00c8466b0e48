"""A line on a dashboard is where its alert rings; panels of results are of any pipeline and number."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

DOCKER = Path(__file__).parents[2] / "docker"
GROUPS = yaml.safe_load((DOCKER / "prometheus" / "alerts.yaml").read_text())["groups"]
ALERTS = [rule["expr"] for group in GROUPS for rule in group["rules"] if "alert" in rule]
NO_ALERT = {"From acquisition to the PACS": {1800.0}}


def panels() -> Iterator[dict[str, Any]]:
    for file in sorted((DOCKER / "grafana" / "dashboards").glob("*.json")):
        yield from json.loads(file.read_text())["panels"]


def lines(panel: dict[str, Any]) -> set[float]:
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    return {abs(step["value"]) for step in steps if step["value"] is not None}


DRAWN = [panel for panel in panels() if lines(panel)]


@pytest.mark.parametrize("panel", DRAWN, ids=lambda panel: panel["title"])
def test_a_line_is_where_the_alert_rings(panel: dict[str, Any]) -> None:
    names = set(re.findall(r"thoracle[_:][a-z0-9_:]+", " ".join(target["expr"] for target in panel["targets"])))
    limits = {
        float(number)
        for expr in ALERTS
        if any(name in expr for name in names)
        for number in re.findall(r">=? ([\d.]+)", expr)
    }
    assert lines(panel) <= NO_ALERT.get(panel["title"], limits)


def test_what_clinicians_watch_has_its_lines() -> None:
    drawn = {panel["title"] for panel in DRAWN}
    assert drawn >= {"Results overridden by radiologists", *NO_ALERT}


def test_the_drift_is_drawn_with_the_limit_of_its_alert() -> None:
    """It is a series of its own: each pipeline's numbers have another scale."""
    (drift,) = (panel for panel in panels() if panel["title"] == "Drift against 90 days")
    (alert,) = (expr for expr in ALERTS if "thoracle:result_drift:90d" in expr)
    assert "thoracle:result_drift_limit:90d" in alert
    queries = [target["expr"] for target in drift["targets"]]
    assert [query.partition("{")[0] for query in queries] == [
        "thoracle:result_drift:90d",
        "min(thoracle:result_drift_limit:90d",
        "-min(thoracle:result_drift_limit:90d",
    ]


def test_panels_of_results_are_of_the_pipeline_and_number_that_is_chosen() -> None:
    """No dashboard names a pipeline or one of its numbers, but in the words that explain it."""
    queries = [target["expr"] for panel in panels() for target in panel["targets"]]
    of_results = [query for query in queries if re.search(r"thoracle(_result_|:result)", query)]
    assert len(of_results) > 8
    for query in of_results:
        assert 'pipeline="$pipeline"' in query and 'scanner=~"$scanner"' in query
        assert 'measure="$measure"' in query or "by (measure" in query
    assert not re.search("covid|severity|opacity", " ".join(queries))


def test_everything_that_a_panel_asks_for_can_be_chosen() -> None:
    for file in sorted((DOCKER / "grafana" / "dashboards").glob("*.json")):
        dashboard = json.loads(file.read_text())
        offered = {variable["name"] for variable in dashboard["templating"]["list"]}
        asked = set(re.findall(r"\$(\w+)", json.dumps(dashboard["panels"]).replace("${datasource}", "")))
        assert asked - {"__rate_interval"} <= offered
