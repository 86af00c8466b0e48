"""The whole pipeline on phantoms, with networks that threshold."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from helpers import evidence_samples, make_ct, tiny_models
from helpers.phantom import FINDINGS, Ball

from service.domain.analysis import Analysis
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.domain.ports import Backend, unheard
from service.evidence.result import result_document
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.covid_burden.flags import WITHIN_NORMAL
from service.pipelines.covid_burden.pipeline import CovidBurden
from service.pipelines.shared import lobes_and_opacities
from service.pipelines.shared.flags import NOT_RELIABLE
from service.pipelines.shared.opacities import Opacity
from service.pipelines.shared.reliability import Reliability

pytestmark = pytest.mark.slow

_SCHEMA = Path(__file__).parents[4] / "docs/reference/result.schema.json"
SCHEMA = jsonschema.Draft202012Validator(json.loads(_SCHEMA.read_text(encoding="utf-8")))

GROUND_GLASS = tuple(ball for ball in FINDINGS if ball.finding == Opacity.GROUND_GLASS)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    return OnnxBackend(tiny_models.repository(tmp_path_factory.mktemp("burden") / "models"))


def phantom(findings: tuple[Ball, ...] = GROUND_GLASS, **options: float) -> CT:
    made = make_ct.make(**{"slices": 50, "spacing_mm": 5.0, "findings": findings} | options)
    return read_ct(made.datasets)


def analyse(ct: CT, backend: Backend) -> Analysis:
    found = CovidBurden().analyse(ct, backend, unheard)
    made = result_document(
        pipeline=found.pipeline.name, series_uid="1.2", analysis=found, analysed_at=evidence_samples.ANALYSED_AT
    )
    SCHEMA.validate(json.loads(json.dumps(made)))
    return found


def test_the_burden_is_ground_glass_plus_high_opacity_in_percent_of_the_lungs(backend: Backend) -> None:
    found = analyse(phantom(), backend)
    total, burden = found.group("LUNG_TOTAL"), found.group("BURDEN")["burden_percent"]
    rim_ml = analyse(phantom(()), backend).group("LUNG_TOTAL")["opacity_ml"]  # its edge is as dense
    assert total["opacity_ml"] - rim_ml == pytest.approx(sum(ball.ml for ball in GROUND_GLASS), rel=0.1)
    assert total["opacity_ml"] == pytest.approx(total["ground_glass_ml"] + total["high_opacity_ml"])
    assert burden == pytest.approx(100 * total["opacity_ml"] / total["volume_ml"])
    assert found.headline.value == burden and found.drift == {"burden_percent": burden}
    sides = [found.group(f"LUNG_{side}")["opacity_ml"] for side in ("LEFT", "RIGHT")]
    assert sum(sides) == pytest.approx(total["opacity_ml"])
    assert sum(found.group(lobe.name)["opacity_ml"] for lobe in Lobe) == pytest.approx(total["opacity_ml"])
    assert [model.name for model in found.models] == ["lung-opacity", "lung-shape", "lobes", "opacity-context"]


def test_two_runs_give_the_same_voxels(backend: Backend) -> None:
    first, second = (analyse(phantom(), backend) for _ in range(2))
    for one, other in zip(first.label_maps, second.label_maps, strict=True):
        assert np.array_equal(one.labels, other.labels)


def test_clear_lungs_have_no_burden_but_that_of_their_edge(backend: Backend) -> None:
    found = analyse(phantom(()), backend)
    assert found.headline.value is not None and found.headline.value < 1.0
    assert NOT_RELIABLE not in found.flags


def test_a_burden_that_cannot_be_relied_on_is_withheld_everywhere_and_says_why(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsure = Reliability(agreement=0.1, clear_hu=-850.0, gradient_hu=20.0, dome_percent=90.0)
    real = lobes_and_opacities.opacities_of
    monkeypatch.setattr(lobes_and_opacities, "opacities_of", lambda *args: replace(real(*args), reliability=unsure))
    ct = phantom()
    found = analyse(ct, backend)
    assert found.headline.value is None
    assert found.headline.words.startswith("not reliable here: ")
    assert NOT_RELIABLE in found.flags and WITHIN_NORMAL not in found.flags and not found.drift
    assert "BURDEN" not in {group.name for group in found.groups}
    told = {one.name for group in found.groups for one in group.measurements}
    assert "opacity_ml" in told and not [name for name in told if "percent" in name]
    assert not [line for line in found.summary if "%" in line]
    body = CovidBurden().report(ct, found, lambda: None)
    assert "withheld" in body.table.note and "truncated" not in body.table.note
    assert not [card for card in body.cards if "%" in card.value or card.bar]
    assert {row.cells[-1] for row in body.table.rows} == {"-"} and not [row for row in body.table.rows if row.bar]
    assert not [line for line in body.findings if "%" in line]


def test_two_networks_that_find_different_opacities_withhold_the_burden(tmp_path: Path) -> None:
    root = tiny_models.repository(tmp_path / "models")
    tiny_models.serve(root, tiny_models.opacity_context(above_hu=-840), tiny_models.OPACITY_CONTEXT)
    found = analyse(phantom(noise_hu=20.0), OnnxBackend(root))
    assert {m.name: m.value for m in found.uncertainty}["agreement_two"] < 0.65
    assert NOT_RELIABLE in found.flags


@pytest.mark.parametrize(("slices", "spacing_mm"), [(201, 1.25), (251, 1.0)])
def test_thin_slices_are_seen_thicker_and_measured_on_their_own_grid(
    backend: Backend, slices: int, spacing_mm: float
) -> None:
    ct = phantom(slices=slices, spacing_mm=spacing_mm)
    thick = analyse(phantom(), backend).group("LUNG_TOTAL")
    found = analyse(ct, backend)
    assert found.label_map("findings").labels.shape == ct.volume.spatial_shape
    assert found.group("LUNG_TOTAL")["opacity_ml"] == pytest.approx(thick["opacity_ml"], rel=0.12)


def test_a_burden_as_in_normal_lungs_is_told(backend: Backend, tmp_path: Path) -> None:
    root = tiny_models.repository(tmp_path / "models")
    spec = replace(tiny_models.OPACITY_CONTEXT, measured={"normal_percent": 50.0})
    tiny_models.serve(root, tiny_models.opacity_context(), spec)
    found = analyse(phantom(), OnnxBackend(root))
    (flag,) = (flag for flag in found.flags if flag == WITHIN_NORMAL)
    assert "50 %" in flag.detail
    assert "normal" in found.headline.words


def test_the_report_shows_the_burden_and_every_lobe(backend: Backend) -> None:
    ct = phantom()
    found = analyse(ct, backend)
    body = CovidBurden().report(ct, found, lambda: None)
    titles = ["Pneumonia burden", "Affected part of both lungs", "Agreement of two networks"]
    assert [card.title for card in body.cards] == titles
    assert [row.name for row in body.table.rows][-1] == "Both lungs" and len(body.table.rows) == 8
    assert body.cards[0].value.endswith(" %")
