"""No name is misspelt: what rules, dashboards and the page of metrics name is what a running service exports."""

import json
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from helpers.running_service import RunningService
from prometheus_client.parser import text_string_to_metric_families
from watched import RULES, Prometheus, watched_service

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "docker" / "grafana"
DASHBOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text()

_NAME = re.compile(r"\bthoracle[_:][a-z0-9_:]+")
_PARTS = re.compile(r"_(bucket|sum|count)$")
_CHOSEN = {
    "__rate_interval": "1m",
    "pipeline": "covid-severity",
    "measure": "severity_score",
    "limit": "14.0",
    "scanner": ".*",
}
"""What somebody chose on the dashboard."""
_GROUPS = yaml.safe_load(RULES.read_text())["groups"]
_RECORDED = [rule["record"] for group in _GROUPS for rule in group["rules"] if "record" in rule]
_RARE = "thoracle_shadow_"
"""Exported only while a candidate analyses in the shadow."""
_EMPTY = ("thoracle:result_drift", "thoracle:result_mean", _RARE)
"""Without a sample here: of a counter that did not rise since the first scrape there is no mean."""

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with watched_service(tmp_path_factory.mktemp("watched")) as service:
        yield service


@pytest.fixture(scope="module")
def prometheus(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with Prometheus(tmp_path_factory.mktemp("prometheus") / "it", service.http_port) as prometheus:
        yield prometheus


def exported(service: RunningService) -> dict[str, set[str]]:
    """Labels by the name of each series."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(service.metrics()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Of every panel, with its title; with values in place of Grafana's variables."""
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                yield panel["title"], re.sub(r"\$(\w+)", lambda name: _CHOSEN[name[1]], target["expr"])


def test_the_dashboards_are_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(GRAFANA / "generate.py"), run_name="__main__")
    assert stopped.value.code == 0, stopped.value.code


def test_every_name_in_rules_and_dashboards_is_exported(service: RunningService) -> None:
    expressions = [rule["expr"] for group in _GROUPS for rule in group["rules"]] + [query for _, query in queries()]
    used = {name for expression in expressions for name in _NAME.findall(expression) if not name.startswith(_RARE)}
    assert used - exported(service).keys() - set(_RECORDED) == set()
    assert not set(_RECORDED) - used, "recorded, and nobody looks at it"


def test_what_is_seldom_exported_is_spelt_as_the_code_spells_it() -> None:
    spelt = set(re.findall(rf"\b{_RARE}\w+", PAGE + "".join(query for _, query in queries())))
    known = set(re.findall(rf'"({_RARE}\w+)"', (ROOT / "service" / "ops" / "metrics.py").read_text()))
    assert known and {re.sub(r"_(total|sum|count)$", "", name) for name in spelt} == known


def test_the_page_of_metrics_names_what_is_exported_with_its_labels(service: RunningService) -> None:
    page = re.findall(r"^\| `(thoracle_\w+)` \| (.*?) \|", PAGE, re.MULTILINE)
    written = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in page if not name.startswith(_RARE)}
    found: dict[str, set[str]] = {}
    for name, labels in exported(service).items():
        if name.startswith("thoracle_"):
            found.setdefault(_PARTS.sub("", name), set()).update(labels - {"le"})
    assert written == found
    assert len(re.findall(r"`(thoracle:\w+:\w+|:\w+)`", PAGE)) == len(_RECORDED)


def test_every_panel_is_answered(prometheus: Prometheus) -> None:
    """With the labels that its query wants: an answer without a sample is a misspelt label."""
    empty = [f"{title}: {query}" for title, query in queries() if not prometheus.query(query)]
    assert [one for one in empty if not any(name in one for name in _EMPTY)] == []


def test_every_rule_can_be_evaluated_and_an_idle_service_raises_no_alarm(prometheus: Prometheus) -> None:
    rules = prometheus.rules()
    assert {rule["name"]: rule["lastError"] for rule in rules if rule["health"] != "ok" and rule.get("lastError")} == {}
    assert {rule["name"]: rule["state"] for rule in rules if rule.get("state", "inactive") != "inactive"} == {}
