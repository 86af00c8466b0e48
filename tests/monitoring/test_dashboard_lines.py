"""A line on a dashboard is where its alert rings, or where a word for the score changes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.pipelines.covid_severity.score import MAX, category

DOCKER = Path(__file__).parents[2] / "docker"
GROUPS = yaml.safe_load((DOCKER / "prometheus" / "alerts.yaml").read_text())["groups"]
ALERTS = [rule["expr"] for group in GROUPS for rule in group["rules"] if "alert" in rule]
WORDS = {float(score) for score in range(2, MAX + 1) if category(score) != category(score - 1)}
NO_ALERT = {"From acquisition to the PACS": {1800.0}, "Severity score, median of 7 days": WORDS}


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
    assert drawn >= {"Drift against 90 days", "Results overridden by radiologists", *NO_ALERT}
