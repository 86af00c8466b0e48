"""What KEDA asks Prometheus, by promtool: the queue's length, 0 when it is empty, nothing when nobody knows."""

import json
import subprocess
from pathlib import Path

import pytest
from helpers.helm_chart import CHART, NAMESPACE, RELEASE, of_kind, render
from helpers.programs import program

from service.domain.job_state import State

pytestmark = pytest.mark.peers

LABELS = f'namespace="{NAMESPACE}",service="{RELEASE}-thoracle-api"'
UP = {"series": f"up{{{LABELS}}}", "values": "1"}


def queued(state: str, count: int, labels: str = LABELS) -> dict[str, str]:
    return {"series": f'thoracle_jobs{{state="{state}",{labels}}}', "values": str(count)}


@pytest.mark.parametrize(
    ("series", "answer"),
    [
        pytest.param([UP, queued(State.QUEUED, 7), queued(State.DELIVERED, 900)], [7], id="seven wait"),
        pytest.param([UP, queued(State.QUEUED, 0), queued(State.DELIVERED, 900)], [0], id="nobody waits"),
        pytest.param([UP, queued(State.QUEUED, 9, 'namespace="other",service="x-api"')], [], id="another release"),
        pytest.param([UP], [], id="the API is up, the database is down"),
        pytest.param([], [], id="no API answers"),
    ],
)
def test_the_query(series: list[dict[str, str]], answer: list[int], tmp_path: Path) -> None:
    (scaled,) = of_kind(render(CHART / "ci" / "autoscaling-values.yaml"), "ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    expected = [{"value": value, "labels": "{}"} for value in answer]
    wanted = {"expr": trigger["metadata"]["query"], "eval_time": "0s", "exp_samples": expected}
    file = tmp_path / "query.yaml"
    file.write_text(json.dumps({"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": [wanted]}]}))
    result = subprocess.run([program("promtool"), "test", "rules", str(file)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
