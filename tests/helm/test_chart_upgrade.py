"""A release of the previous chart version can be upgraded: Kubernetes refuses nothing, no volume is left.

`previous/VERSION` holds value sets of that version and, of what it rendered with them, what nobody can change.
`keep_version.py` keeps one more.
"""

import json
from pathlib import Path

import pytest
import yaml
from fixed_fields import fixed
from helm_chart import CHART, render

pytestmark = pytest.mark.peers

PREVIOUS = Path(__file__).parent / "previous"
KEPT = [pytest.param(f, id=f"{f.parent.name}-{f.stem}") for f in sorted(PREVIOUS.glob("*/*-values.yaml"))]


@pytest.mark.parametrize("values", KEPT)
def test_an_upgrade_changes_nothing_that_kubernetes_keeps_fixed(values: Path) -> None:
    before = json.loads(values.with_name("fixed.json").read_text())[values.name]
    assert before
    now = fixed(render(values))
    assert {name: now.get(name) for name in before} == before


def test_there_is_a_previous_version_and_this_one_is_newer() -> None:
    def number(version: str) -> tuple[int, ...]:
        return tuple(map(int, version.split(".")))

    kept = [number(folder.name) for folder in PREVIOUS.iterdir()]
    assert max(kept) < number(yaml.safe_load((CHART / "Chart.yaml").read_text())["version"])
