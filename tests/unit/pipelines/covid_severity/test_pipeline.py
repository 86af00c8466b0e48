"""The whole pipeline: on phantoms with a back end that thresholds, and on the demo CT with the released models."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from helpers import make_ct
from helpers.evidence_samples import masks
from helpers.shared_data import shared_data
from scipy import ndimage

from service.domain import codes
from service.domain.analysis import Analysis, PipelineUse
from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES, Lobe
from service.domain.ct import CT
from service.domain.flags import LUNG_ADDED, PADDING_MASKED
from service.domain.model_spec import ModelSpec, TensorSpec
from service.domain.ports import Array
from service.errors import Reason, Rejected
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines import PIPELINES
from service.pipelines.covid_severity.flags import (
    LOBE_MISSING,
    LOBES_APPROXIMATE,
    NO_CLASSIFIER,
    NO_NOISE_FLOOR,
    TRACE_OPACITY,
)
from service.pipelines.covid_severity.pipeline import CovidSeverity
from service.pipelines.shared import lobes_and_opacities
from service.pipelines.shared.flags import NOT_RELIABLE
from service.pipelines.shared.opacities import Opacity
from service.pipelines.shared.reliability import Reliability
from service.pipelines.shared.slices import centred

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[4]
SIZE, BOX = 192, 32


class ThresholdBackend:
    """`Backend` for phantoms: lungs and opacities by HU and shape, lobes as slabs from head to feet."""

    def __init__(self, lobes: tuple[Lobe, ...] = tuple(Lobe)) -> None:
        self.lobes = lobes
        plane, box = (SIZE, SIZE), (BOX, BOX, BOX)
        hu, lungs = TensorSpec("hu", "int16", (1, *plane), ()), TensorSpec("lungs", "uint8", (2, *box), ())
        two, five = TensorSpec("p", "uint8", (2, *plane), ("lung, opacity",)), TensorSpec("p", "uint8", (5, *box), ())
        stack, middle = (18, *plane), TensorSpec("p", "uint8", (2, 8, *plane), ("lung, opacity",))
        half = {"lung": 0.5, "opacity": 0.5}
        self.concurrency = 2
        self.specs = {
            "lung-opacity": ModelSpec("lung-opacity", "7", (hu,), (two,), 4, 2.0, thresholds=half, sha256="aa"),
            "lobes": ModelSpec("lobes", "8", (lungs,), (five,), 1, sha256="bb"),
            "opacity-context": ModelSpec(
                "opacity-context",
                "9",
                (TensorSpec("hu", "int16", stack, ()),),
                (middle,),
                1,
                2.0,
                thresholds=half,
                layout="slice-stacks",
                sha256="cc",
            ),
        }

    def has(self, name: str) -> bool:
        return name in self.specs

    def spec(self, name: str) -> ModelSpec:
        return self.specs[name]

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        (tensor,) = self.specs[name].inputs
        batch = inputs[tensor.name]
        assert batch.shape[1:] == tensor.dims
        assert batch.dtype == tensor.dtype
        assert len(batch) <= self.specs[name].max_batch
        if name == "lung-shape":
            return {"p": np.full((1, 2, BOX, BOX, BOX), 255, np.uint8)}
        if name == "opacity-context":
            return {"p": np.stack([self._plane(hu) for hu in batch[0, 5:13]], 1)[None]}
        return {"p": np.stack([self._plane(b[0]) for b in batch]) if name == "lung-opacity" else self._slabs()[None]}

    def cancel(self) -> None: ...

    def _plane(self, hu: Array) -> Array:
        """Air-filled lungs with their holes; in them, what is denser than lung and thicker than its rim."""
        air = ndimage.binary_opening((hu > -940) & (hu < -405), iterations=3)
        inside = ndimage.binary_fill_holes(air)
        dense = ndimage.binary_opening(inside & (hu > -725), iterations=3)
        lung = np.clip((40.0 - hu) * 255 / 890, 0, 255) * ndimage.binary_dilation(inside, iterations=2)
        return np.stack([np.where(inside, np.maximum(lung, 128), lung), dense * 255.0]).astype(np.uint8)

    def _slabs(self) -> Array:
        probability = np.zeros((5, BOX, BOX, BOX), np.uint8)
        for lung in (Lobe.RUL, Lobe.RML, Lobe.RLL), (Lobe.LUL, Lobe.LLL):
            present = [lobe for lobe in lung if lobe in self.lobes]
            for k in range(BOX):
                probability[present[k * len(present) // BOX] - 1, k] = 255
        return probability


def analyse(ct: CT, backend: ThresholdBackend | OnnxBackend) -> Analysis:
    return CovidSeverity().analyse(ct, backend, lambda stage, done: None)


def lobe_scores(result: Analysis) -> dict[str, float]:
    """Reported scores of the lobes that have one: with the noise floor, where it is measured."""
    names = ("score", "score_without_noise_floor")
    found = {lobe.name: [m.value for m in result.group(lobe.name).measurements if m.name in names] for lobe in Lobe}
    return {lobe: scores[0] for lobe, scores in found.items() if scores}


@pytest.mark.parametrize("orientation", ["HFS", "HFP", "FFS", "FFP"])
def test_phantom_in_every_position(orientation: str) -> None:
    phantom = make_ct.make(orientation=orientation, findings=make_ct.FINDINGS)
    result, truth = analyse(read_ct(phantom.datasets), ThresholdBackend()), phantom.truth
    right, left = (result.group(f"LUNG_{side}") for side in ("RIGHT", "LEFT"))
    assert right["volume_ml"] == pytest.approx(truth.right_lung_ml, rel=0.02)
    assert left["volume_ml"] == pytest.approx(truth.left_lung_ml, rel=0.02)
    assert right["opacity_ml"] == pytest.approx(60, rel=0.05)
    for kind, ml in truth.findings_ml.items():
        assert result.group(f"TOTAL_{kind.name}")["volume_ml"] == pytest.approx(ml, rel=0.05)
        assert result.group(kind.name)["volume_ml"] == result.group(f"TOTAL_{kind.name}")["volume_ml"]
    lobes, opacities = masks(result)
    wrong_side = (truth.left_lung_mask & np.isin(lobes, RIGHT_LOBES)) | (
        truth.right_lung_mask & np.isin(lobes, LEFT_LOBES)
    )
    assert not wrong_side.any()
    assert not opacities[lobes == 0].any()


def test_what_an_analysis_says() -> None:
    ct = read_ct(make_ct.make(findings=make_ct.FINDINGS, padding=True).datasets)
    stages: list[tuple[str, float]] = []
    result = CovidSeverity().analyse(ct, ThresholdBackend(), lambda stage, done: stages.append((stage, done)))
    assert result.pipeline == PipelineUse("covid-severity", "2.0", 9000)
    order = ["lungs", "lobes", "opacities", "measure"]
    assert list(dict.fromkeys(stage for stage, _ in stages)) == order
    assert stages == sorted(stages, key=lambda s: (order.index(s[0]), s[1]))
    assert stages[-1] == ("measure", 1.0)
    assert result.classification is not None
    assert result.classification.probabilities == () and result.classification.absent == codes.NO_CLASSIFIER
    assert result.flags == (
        LOBES_APPROXIMATE,
        NO_CLASSIFIER,
        PADDING_MASKED,
        NO_NOISE_FLOOR,
    ), "these models have none"
    used = [("lung-opacity", "7", "aa"), ("lobes", "8", "bb"), ("opacity-context", "9", "cc")]
    assert [(m.name, m.version, m.sha256) for m in result.models] == used
    assert [one.kind for one in result.label_maps] == list(CovidSeverity.label_maps)
    assert all(mask.shape == ct.volume.spatial_shape for mask in masks(result))
    assert result.headline.value == sum(lobe_scores(result).values()) == result.drift["severity_score"]
    assert lobe_scores(result)["RLL"] in (2, 3)
    assert result.drift["opacity_percent"] == result.group("LUNG_TOTAL")["opacity_percent"]
    assert set(result.drift) == {one.name for one in CovidSeverity.drift}
    assert [one.name for one in result.uncertainty] == ["agreement_two", "clear_lung_hu", "gradient_hu", "dome_percent"]


def test_the_first_stage_is_told_before_it_begins() -> None:
    stages: list[str] = []
    told_when_asked: list[bool] = []

    class Watching(ThresholdBackend):
        def spec(self, name: str) -> ModelSpec:
            told_when_asked.append(bool(stages))
            return super().spec(name)

    ct = read_ct(make_ct.make().datasets)
    CovidSeverity().analyse(ct, Watching(), lambda stage, done: stages.append(stage))
    assert all(told_when_asked), "its seconds would be counted as those of reading"


def test_a_missing_lobe_is_flagged_and_not_scored() -> None:
    backend = ThresholdBackend(lobes=(Lobe.RUL, Lobe.RLL, Lobe.LUL, Lobe.LLL))
    result = analyse(read_ct(make_ct.make().datasets), backend)
    assert LOBE_MISSING in result.flags
    assert set(lobe_scores(result)) == {"RUL", "RLL", "LUL", "LLL"}
    assert (result.headline.value, result.headline.category) == (None, None)
    assert result.headline.sentence == "CT severity score, Pan 2020, 0-25: no total score, a lobe was not found."
    assert result.group("RML")["volume_ml"] == 0 and "severity_score" not in result.drift


def test_a_healthy_phantom_scores_nothing() -> None:
    result = analyse(read_ct(make_ct.make().datasets), ThresholdBackend())
    assert (result.headline.value, result.headline.category, result.urgent) == (0, "none", False)


@pytest.mark.parametrize(
    ("options", "reason"), [({"lungs": False}, Reason.NO_LUNG), ({"shift_z_mm": 60.0}, Reason.TRUNCATED)]
)
def test_refusals(options: dict[str, object], reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        analyse(read_ct(make_ct.make(**options).datasets), ThresholdBackend())
    assert caught.value.refusals[0].reason == reason


def test_the_models_own_thresholds_decide() -> None:
    everything = np.arange(256, dtype=np.uint8)
    assert np.array_equal(centred(everything, 0.5), everything), "0.5 changes nothing"
    assert np.array_equal(centred(everything, 0.3) >= 128, everything >= 77)
    assert np.array_equal(centred(everything, 0.8) >= 128, everything >= 204)


def test_pipelines_have_names_of_their_own() -> None:
    names = ["covid-severity", "covid-burden", "covid-triage", "lung-density", "nsclc-gtv"]
    assert [pipeline.name for pipeline in PIPELINES] == names


def test_what_the_models_own_floor_covers_is_said_and_not_scored() -> None:
    backend = ThresholdBackend()
    floor = {"opacity_ml": 1000.0, "opacity_percent": 4.9}
    backend.specs["opacity-context"] = replace(backend.specs["opacity-context"], noise_floor=floor)
    ct = read_ct(make_ct.make(findings=(make_ct.Ball(Opacity.GROUND_GLASS, (75.0, -20.0, 40.0), 20.0),)).datasets)
    result = analyse(ct, backend)
    assert (result.headline.value, result.headline.remark) == (0, "1 without noise floor")
    assert result.group("SEVERITY")["score_without_noise_floor"] == 1
    assert TRACE_OPACITY in result.flags and NO_NOISE_FLOOR not in result.flags


def test_a_score_that_cannot_be_relied_on_is_withheld_everywhere_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    unsure = Reliability(agreement=0.1, clear_hu=-850.0, gradient_hu=20.0, dome_percent=90.0)
    real = lobes_and_opacities.opacities_of
    monkeypatch.setattr(lobes_and_opacities, "opacities_of", lambda *args: replace(real(*args), reliability=unsure))
    ct = read_ct(make_ct.make(findings=make_ct.FINDINGS).datasets)
    result = analyse(ct, ThresholdBackend())
    assert NOT_RELIABLE in result.flags and LOBE_MISSING not in result.flags
    assert (result.headline.value, result.headline.category) == (None, None)
    assert result.headline.words == "not reliable here: Two networks find different opacities (Dice 0.10)"
    assert not lobe_scores(result) and not result.drift
    told = {one.name for group in result.groups for one in group.measurements}
    assert "opacity_ml" in told and not [name for name in told if "percent" in name and "floor" not in name]
    assert not [line for line in result.summary if "%" in line]
    body = CovidSeverity().report(ct, result, lambda: None)
    assert "withheld" in body.table.note and "truncated" not in body.table.note
    assert body.cards[0].value == "not given" and "Two networks" in body.cards[0].lines[0].text
    assert {row.cells[-1] for row in body.table.rows} == {"not given", ""}
    assert not [row for row in body.table.rows if row.bar]
    assert not [line for line in body.findings if "%" in line or "score" in line.replace("no score given", "")]


def test_dense_tissue_within_the_shape_of_the_lungs_is_lung_and_told() -> None:
    """A model that takes a lung's whole box for lung: what is dense in its corners is added."""
    ct = read_ct(make_ct.make().datasets)
    alone = analyse(ct.afresh(), ThresholdBackend())
    backend = ThresholdBackend()
    box = (2, BOX, BOX, BOX)
    half = {"right": 0.5, "left": 0.5}
    taken, given = TensorSpec("lungs", "uint8", box, ()), TensorSpec("p", "uint8", box, ("right, left",))
    shape = ModelSpec("lung-shape", "10", (taken,), (given,), 1, thresholds=half, layout="lung-boxes", sha256="dd")
    backend.specs["lung-shape"] = shape
    result = analyse(ct, backend)
    assert [model.name for model in result.models] == ["lung-opacity", "lung-shape", "lobes", "opacity-context"]
    (told,) = [flag for flag in result.flags if flag == LUNG_ADDED]
    added = float(told.detail.removesuffix(" mL."))
    before, after = (one.group("LUNG_TOTAL")["volume_ml"] for one in (alone, result))
    assert LUNG_ADDED not in alone.flags and added > 50.0
    assert after - before == pytest.approx(added, rel=0.15), "on the CT and in every number"
    lobes, _ = masks(result)
    assert (lobes > 0).sum() * ct.voxel_ml == pytest.approx(after, rel=1e-3)


def test_a_normal_ct_reads_none_with_the_released_models() -> None:
    folder = shared_data("dicom/covid-ct-md/normal001")
    ct = read_ct([pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))])
    result = analyse(ct, OnnxBackend(ROOT / "triton_repo"))
    assert (result.headline.value, result.headline.category) == (0, "none")
    assert result.headline.words == "involvement: none: within what is found in normal lungs"
    assert result.group("SEVERITY")["score_without_noise_floor"] == 1 and TRACE_OPACITY in result.flags
    assert result.group("LUNG_TOTAL")["opacity_ml"] == pytest.approx(1.0, abs=0.2)


def test_the_released_models_on_the_demo_ct() -> None:
    """RIDER: a lung tumour, no pneumonia."""
    ct = read_ct([pydicom.dcmread(path) for path in sorted((ROOT / "demo" / "ct").glob("*.dcm"))])
    first = analyse(ct, OnnxBackend(ROOT / "triton_repo"))
    total, left = first.group("LUNG_TOTAL"), first.group("LUNG_LEFT")
    assert 4000 < total["volume_ml"] < 5800
    assert 0.4 < left["volume_ml"] / total["volume_ml"] < 0.5
    assert total["opacity_percent"] < 2.0
    lobes = {lobe: first.group(lobe.name) for lobe in Lobe}
    mean_hu = sum(one["mean_hu"] * one["volume_ml"] for one in lobes.values()) / total["volume_ml"]
    assert -850 < mean_hu < -700
    for lobe in lobes.values():
        assert 0.04 < lobe["volume_ml"] / total["volume_ml"] < 0.35
    assert lobe_scores(first) == {"RUL": 2, "RML": 0, "RLL": 0, "LUL": 0, "LLL": 0}, "the tumour only"
    severity = first.group("SEVERITY")
    assert (severity["score"], severity["score_without_noise_floor"]) == (2, 3)
    assert (severity["noise_floor_ml"], severity["noise_floor_percent"]) == (5.0, 0.7)
    labels, _ = masks(first)
    x = {lobe: ct.volume.affine[:3] @ [*np.argwhere(labels == lobe).mean(0), 1.0] for lobe in Lobe}
    assert x[Lobe.RUL][0] < x[Lobe.LUL][0]
    assert x[Lobe.RUL][2] > x[Lobe.RLL][2]
    assert x[Lobe.LUL][2] > x[Lobe.LLL][2]


def test_whoever_ends_an_analysis_is_asked_between_the_parts_of_each_stage() -> None:
    """What no model is asked in would otherwise be silent for as long as all of it takes."""
    asked: Counter[str] = Counter()
    ct = read_ct(make_ct.make().datasets)
    CovidSeverity().analyse(ct, ThresholdBackend(), lambda stage, _done: asked.update([stage]))
    calls = len(range(0, 88, 4))
    assert asked["lungs"] > calls + 5, "each part of finding the lungs"
    assert asked["lobes"] > 2 + len(Lobe) and asked["measure"] > 2
    assert asked["opacities"], "at the end, and every 0.2 s where they take longer than the lobes"
