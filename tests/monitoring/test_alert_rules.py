"""The alerts do what they say: promtool runs their tests, and each is tested, explained and understandable."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.programs import program

ROOT = Path(__file__).parents[2]
RULES = ROOT / "docker" / "prometheus" / "alerts.yaml"
TESTS = sorted((RULES.parent / "tests").glob("*.yaml"))
GROUPS = yaml.safe_load(RULES.read_text())["groups"]
RUNBOOK = ROOT / "docs" / "how-to" / "watch-it.md"


def alerts() -> dict[str, dict[str, Any]]:
    """By name."""
    return {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}


@pytest.mark.peers
def test_the_rules_and_the_configuration_are_what_prometheus_takes() -> None:
    subprocess.run([program("promtool"), "check", "config", RULES.with_name("prometheus.yml")], check=True)


@pytest.mark.peers
@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.stem)
def test_each_alert_fires_when_it_should_and_not_when_it_should_not(file: Path) -> None:
    done = subprocess.run([program("promtool"), "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_reads_days_of_samples_does_so_seldom_but_is_never_stale() -> None:
    """Prometheus forgets an answer after 5 minutes."""
    slow = {group["name"]: group.get("interval") for group in GROUPS if re.search(r"\[\d+d\]", str(group))}
    assert slow and set(slow.values()) == {"4m"}
    fast = [group["name"] for group in GROUPS if group["name"] not in slow and "interval" in group]
    assert fast == []


def test_each_alert_is_tested() -> None:
    expected = set(re.findall(r'alertname="(\w+)"', "".join(file.read_text() for file in TESTS)))
    assert expected == alerts().keys()


def test_each_alert_says_how_bad_it_is_what_it_means_and_what_to_do() -> None:
    sections = re.findall(r"^### (\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert sections == list(alerts()), "the same, in the same order"
    for name, alert in alerts().items():
        assert alert["labels"]["severity"] in ("critical", "warning"), name
        words = alert["annotations"]
        assert words["runbook"] == f"docs/how-to/watch-it.md#{name.lower()}", name
        assert words["summary"] and words["description"].endswith("."), name
