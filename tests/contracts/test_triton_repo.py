"""What lies in triton_repo/ is what models/ says: specs, configurations, digests, cards. Needs no torch."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.card import CARD, METRICS
from models.lobes import card as lobes_card
from models.lung_opacity import card as lung_opacity_card
from models.repository import ROOT, SPECS, differences, render_config
from service.errors import Flag
from service.inference.files import read_digests
from service.inference.onnx import OnnxBackend
from service.pipelines import PIPELINES

MAX_WEIGHTS_BYTES = 30 * 2**20
CARDS = {"lung-opacity": ("lung_opacity", lung_opacity_card.render), "lobes": ("lobes", lobes_card.render)}


def test_the_repository_is_in_sync_without_torch() -> None:
    hidden = "import sys; sys.modules['torch'] = None; import models.export as e; sys.argv = ['', '--check']; e.main()"
    run = subprocess.run([sys.executable, "-c", hidden], cwd=ROOT.parent, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: (root / "lobes/config.pbtxt").write_text("edited"), "config.pbtxt is not what the spec renders"),
        (lambda root: (root / "lobes/config.pbtxt").unlink(), "is missing"),
        (lambda root: (root / "other").mkdir(), "no spec in models"),
        (lambda root: (root / "SHA256SUMS").write_text(""), "SHA256SUMS does not match"),
    ],
    ids=["config", "missing", "extra", "digest"],
)
def test_every_difference_is_named(tmp_path: Path, spoil: Callable[[Path], Any], said: str) -> None:
    root = tmp_path / "triton_repo"
    shutil.copytree(ROOT, root)
    assert differences(root) == []
    spoil(root)
    (found,) = differences(root)
    assert said in found


def test_the_service_loads_exactly_these_models() -> None:
    backend = OnnxBackend(ROOT)
    assert {spec.name for spec in backend.specs} == {spec.name for spec in SPECS}
    for pipeline in PIPELINES:
        for name in pipeline.models:
            assert backend.spec(name).licence


def test_the_weights_are_small() -> None:
    assert sum(path.stat().st_size for path in ROOT.rglob("*.onnx")) < MAX_WEIGHTS_BYTES


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_configurations_leave_nothing_to_guess(spec: Any) -> None:
    text = render_config(spec)
    assert text.count("{") == text.count("}")
    assert text.count("[") == text.count("]")
    assert f"max_batch_size: {spec.max_batch}" in text
    assert re.findall(r'^    name: "(\w+)"', text, re.M) == [t.name for t in (*spec.inputs, *spec.outputs)]
    assert ("dynamic_batching" in text) == (spec.max_batch > 1)
    assert "kind: KIND_CPU" in text


@pytest.mark.parametrize("name", CARDS)
def test_cards_are_rendered_and_about_the_released_weights(name: str) -> None:
    folder, render = CARDS[name]
    metrics = json.loads((ROOT.parent / "models" / folder / METRICS).read_text())
    assert (ROOT.parent / "models" / folder / CARD).read_text() == render(metrics)
    (digest,) = [digest for path, digest in read_digests(ROOT).items() if path.startswith(f"{name}/")]
    assert metrics["sha256"] == digest


def test_every_output_says_how_approximate_the_lobes_are() -> None:
    metrics = json.loads((ROOT.parent / "models/lobes" / METRICS).read_text())
    said = f"borders {metrics['mean']['found']['mean_mm']} mm from fissures on average"
    assert said in Flag.LOBES_APPROXIMATE.sentence, "which is what result.json, SR, PDF and API say"
