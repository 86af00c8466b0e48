"""The whole pipeline on phantoms, with a network that outlines their tumours."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from helpers import evidence_samples, make_ct, tiny_tumour
from helpers.tumours import Tumour

from service.domain.analysis import Analysis, RoiType
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.domain.model_spec import ModelSpec
from service.domain.ports import Array, Backend, no_step, unheard
from service.errors import Reason, Refusal, Rejected
from service.evidence.result import result_document
from service.imaging.gate import check_headers
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.nsclc_gtv import anatomy as anatomy_module
from service.pipelines.nsclc_gtv import flags as warnings
from service.pipelines.nsclc_gtv.pipeline import NsclcGtv
from service.pipelines.nsclc_gtv.report_figures import AXES, GTV_MARK
from service.pipelines.shared.flags import LOBES_APPROXIMATE
from service.pipelines.shared.lobe_segments import site

pytestmark = pytest.mark.slow

_SCHEMA = Path(__file__).parents[4] / "docs/reference/result.schema.json"
SCHEMA = jsonschema.Draft202012Validator(json.loads(_SCHEMA.read_text(encoding="utf-8")))
SCAN: dict[str, Any] = {"slices": 88, "spacing_mm": 2.5, "rows": 128, "columns": 176, "pixel_mm": (2.0, 2.0)}
LARGE, SMALL = Tumour((-76.0, -28.0, 34.0), (22.0, 16.0, 18.0)), Tumour((80.0, -20.0, -20.0), (8.0, 8.0, 8.0))


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    return OnnxBackend(tiny_tumour.repository(tmp_path_factory.mktemp("gtv") / "models"), 1)


def phantom(*tumours: Tumour, **options: Any) -> CT:
    return read_ct(make_ct.make(**SCAN | {"tumours": tumours} | options).datasets)


def document(found: Analysis) -> dict[str, Any]:
    made = result_document(
        pipeline=found.pipeline.name, series_uid="1.2", analysis=found, analysed_at=evidence_samples.ANALYSED_AT
    )
    read: dict[str, Any] = json.loads(json.dumps(made))
    return read


def analyse(ct: CT, backend: Backend) -> Analysis:
    found = NsclcGtv().analyse(ct, backend, unheard)
    SCHEMA.validate(document(found))
    return found


def judged(found: Analysis, group: str) -> dict[str, str]:
    return {one.concept.value: one.value.meaning for one in found.group(group).evaluations}


@pytest.fixture(scope="module")
def two(backend: Backend) -> tuple[CT, Analysis]:
    ct = phantom(LARGE, SMALL)
    return ct, analyse(ct, backend)


def test_the_largest_is_gtv_1_and_the_other_a_candidate(two: tuple[CT, Analysis]) -> None:
    ct, found = two
    gtv, candidate = found.group("GTV_1"), found.group("CANDIDATE_1")
    assert gtv["volume_ml"] == pytest.approx(LARGE.ml, rel=0.02) and gtv["volume_ml"] == found.headline.value
    assert candidate["volume_ml"] == pytest.approx(SMALL.ml, rel=0.1)
    assert found.group("TUMOUR")["finding_count"] == 2 == found.drift["finding_count"]
    labels = found.label_map("tumour")
    assert labels.labels.shape == ct.volume.spatial_shape
    assert [(one.name, one.roi_type) for one in labels.present] == [
        ("GTV_1", RoiType.GROSS_TUMOUR_VOLUME),
        ("CANDIDATE_1", None),
    ]
    assert np.count_nonzero(labels.labels == 1) * found.voxel_ml == pytest.approx(gtv["volume_ml"])
    assert [judged(found, f"LUNG_{side}")["TUMOUR-DETECT"] for side in ("RIGHT", "LEFT")] == ["Positive"] * 2
    assert judged(found, "GTV_1") == {
        "FINDING-STATUS": "Suspected by an algorithm, not diagnosed",
        "LOBES-HELD": "One lobe",
    }
    assert gtv["solid_percent"] > 99 and gtv["ground_glass_percent"] < 1 and gtv["mean_hu"] > 2000
    raised = {flag.code: flag.detail for flag in found.flags}
    assert raised["CANDIDATES"] == "1 beside GTV-1." and "CANDIDATE_AS_LARGE" not in raised
    assert "PARTS_LEFT_OUT" not in raised and "FIELD_CUTS_TUMOUR" not in raised and "BEYOND_CHEST" not in raised
    line = next(one.line for one in gtv.measurements if one.name == "longest_diameter_mm")
    number = round(float(ct.volume.map_reference_to_indices(np.array(line))[0, 0]))
    assert f"(image {ct.headers[number].InstanceNumber})" in found.summary[1]
    assert "right upper lobe" in found.headline.sentence and "1 other candidate" in found.headline.sentence


def test_nothing_that_is_told_names_a_cancer(two: tuple[CT, Analysis]) -> None:
    ct, found = two
    body = NsclcGtv().report(ct, found, no_step)
    text = f"{json.dumps(document(found) | {'pipeline': ''})} {body.cards} {body.table} {body.notes} {body.findings}"
    codes = [one.finding.meaning for one in found.groups]
    assert not [word for word in ("malignan", "cancer", "carcinoma", "nsclc") if word in f"{text} {codes}".lower()]


def test_two_runs_give_the_same_voxels_and_numbers(backend: Backend, two: tuple[CT, Analysis]) -> None:
    first, second = two[1], analyse(phantom(LARGE, SMALL), backend)
    for one, other in zip(first.label_maps, second.label_maps, strict=True):
        assert np.array_equal(one.labels, other.labels)
    assert document(first) == document(second) and first.groups == second.groups


def test_without_a_finding_there_is_no_label_map_of_tumours_and_it_is_said(backend: Backend) -> None:
    ct = phantom()
    found = analyse(ct, backend)
    assert [one.name for one in found.label_maps] == ["lobes"]
    assert (found.headline.value, found.headline.words) == (0.0, "no tumour found")
    assert judged(found, "TUMOUR")["TUMOUR-DETECT"] == "No tumour found; this is no all-clear"
    assert [judged(found, f"LUNG_{side}")["TUMOUR-DETECT"] for side in ("RIGHT", "LEFT")] == ["Negative"] * 2
    assert found.drift == {"finding_count": 0.0}
    body = NsclcGtv().report(ct, found, no_step)
    assert body.cards[0].absent and "No tumour found" in body.cards[0].lines[0].text
    assert "from 0.3 mL, peak from 0.60" in body.cards[1].value and "lung field" in body.cards[1].lines[0].text
    assert "No tumour found." in " ".join(body.findings) and body.large[1].caption.endswith("no tumour found")


def test_what_is_below_the_rule_is_no_finding_but_is_counted(backend: Backend) -> None:
    tiny = Tumour((80.0, -20.0, -20.0), (3.5, 3.5, 3.5))
    assert tiny.ml < tiny_tumour.LEAST_ML
    found = analyse(phantom(tiny), backend)
    assert found.headline.words == "no tumour found" and found.group("TUMOUR")["left_out_count"] == 1
    assert 0 < found.group("TUMOUR")["left_out_ml"] < tiny_tumour.LEAST_ML
    faint = Tumour((80.0, -20.0, -20.0), (9.0, 9.0, 9.0), hu=0.58 * (2500 + 850) - 850)
    found = analyse(phantom(faint, noise_hu=1.0), backend)
    assert found.headline.value == 0.0 and found.group("TUMOUR")["left_out_ml"] > 1.0
    assert next(flag.detail for flag in found.flags if flag == warnings.PARTS_LEFT_OUT).startswith("1, together ")


def test_more_than_nine_candidates_are_counted_and_in_the_segmentation(backend: Backend) -> None:
    rows = [(x, -30.0 + 22.0 * k, z) for x in (-80.0, 80.0) for z in (-30.0, 0.0, 30.0) for k in (0, 1)]
    balls = tuple(Tumour(centre, (6.0 + 0.2 * k,) * 3) for k, centre in enumerate(rows))
    ct = phantom(*balls)
    found = analyse(ct, backend)
    assert found.group("TUMOUR")["finding_count"] == 12
    names = [one.name for one in found.label_map("tumour").present]
    assert names == ["GTV_1", *(f"CANDIDATE_{k}" for k in range(1, 10)), "CANDIDATES_REST"]
    assert found.group("CANDIDATES_REST")["finding_count"] == 2
    volumes = [found.group(name)["volume_ml"] for name in names[:-1]]
    assert volumes == sorted(volumes, reverse=True)
    assert sum(found.group(name)["volume_ml"] for name in names) == pytest.approx(found.group("TUMOUR")["volume_ml"])
    assert warnings.CANDIDATE_AS_LARGE in found.flags and "a candidate is nearly as large" in found.doubts
    body = NsclcGtv().report(ct, found, no_step)
    assert len(body.table.rows) == 7 and body.table.note.startswith("5 more candidates")
    assert any("More candidates: 2" in line for line in found.summary)


@pytest.mark.parametrize("reason", [Reason.NO_LUNG, Reason.TRUNCATED, Reason.LUNG_LOST])
def test_lungs_that_cannot_be_measured_are_no_reason_to_refuse(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, reason: Reason
) -> None:
    def refuse(*_: object) -> None:
        raise Rejected(Refusal(reason, "Right 40 mL."))

    monkeypatch.setattr(anatomy_module, "lungs_of", refuse)
    ct = phantom(LARGE)
    found = analyse(ct, backend)
    assert found.group("GTV_1")["volume_ml"] == pytest.approx(LARGE.ml, rel=0.02)
    names = {one.name for one in found.group("GTV_1").measurements}
    assert not names & {"pleura_distance_mm", "lobe_percent"} and "LOBES-HELD" not in judged(found, "GTV_1")
    assert [flag.detail for flag in found.flags if flag == warnings.LUNGS_UNMEASURED] == [f"{reason}: Right 40 mL."]
    assert LOBES_APPROXIMATE not in found.flags and [one.name for one in found.label_maps] == ["tumour"]
    assert {one.name for one in found.groups} == {"TUMOUR", "LUNG_RIGHT", "LUNG_LEFT", "GTV_1"}
    sides = [judged(found, f"LUNG_{side}")["TUMOUR-DETECT"] for side in ("RIGHT", "LEFT")]
    assert sides == ["Positive", "Negative"], "by the spine"
    assert "right of the spine, lobe unknown" in found.headline.sentence
    body = NsclcGtv().report(ct, found, no_step)
    assert body.table.rows[0].cells[4] == "-" and "lobe unknown" in body.table.rows[0].name


def test_a_lung_without_air_is_analysed(backend: Backend) -> None:
    """The left lung is filled; the mirror image of the right one keeps it in the field."""
    filled = Tumour((75.0, 0.0, 0.0), (50.0, 75.0, 92.0), hu=30.0)
    inside = Tumour((85.0, -30.0, 0.0), (15.0, 15.0, 15.0))
    found = analyse(phantom(filled, inside), backend)
    assert warnings.LUNGS_UNMEASURED in found.flags
    assert found.group("GTV_1")["volume_ml"] == pytest.approx(inside.ml, rel=0.25)
    assert judged(found, "LUNG_LEFT")["TUMOUR-DETECT"] == "Positive"


@pytest.mark.parametrize("orientation", ["HFS", "FFP"])
def test_a_ct_from_neck_to_pelvis_is_analysed_in_the_chest(backend: Backend, orientation: str) -> None:
    scan = make_ct.make(**SCAN | {"slices": 140, "spacing_mm": 5.0}, tumours=(LARGE,), orientation=orientation)
    found = analyse(read_ct(scan.datasets), backend)
    (flag,) = (one for one in found.flags if one == warnings.BEYOND_CHEST)
    assert flag.detail == "255 mm above it, 255 mm below it were left out."
    assert found.group("GTV_1")["volume_ml"] == pytest.approx(LARGE.ml, rel=0.05)
    lungs = found.label_map("lobes").labels > 0
    truth = scan.truth.lobe_mask > 0
    both = np.count_nonzero(lungs & truth)
    assert 2 * both / (np.count_nonzero(lungs) + np.count_nonzero(truth)) > 0.95, "lungs lie where they are"
    assert found.group("GTV_1").site == site(Lobe.RUL)


def test_a_finding_at_the_edge_of_the_images_is_told_to_be_cut(backend: Backend) -> None:
    """60 slices show 75 mm to either side of the middle; the lungs reach further."""
    found = analyse(phantom(Tumour((-76.0, -20.0, -70.0), (20.0, 20.0, 15.0)), slices=60), backend)
    assert [flag.detail for flag in found.flags if flag == warnings.TUMOUR_AT_EDGE] == ["GTV-1."]
    assert "finding cut off" in found.doubts and warnings.LUNGS_UNMEASURED in found.flags


def test_a_finding_that_goes_on_beyond_the_searched_field_is_told(backend: Backend) -> None:
    """It grows through the chest wall: the field ends 15 mm beyond the lung."""
    through = Tumour((-130.0, -10.0, 0.0), (30.0, 20.0, 20.0))
    found = analyse(phantom(through), backend)
    (flag,) = (one for one in found.flags if one == warnings.FIELD_CUTS_TUMOUR)
    assert (
        flag.detail.startswith("GTV-1: ")
        and flag.detail.endswith(" % of its border.")
        and "finding may be larger" in found.doubts
    )
    assert 0.4 * through.ml < found.group("GTV_1")["volume_ml"] < 0.95 * through.ml
    assert found.group("GTV_1")["pleura_distance_mm"] == 0.0


@pytest.mark.parametrize(("z_mm", "words"), [(5.0, "Several lobes"), (40.0, "One lobe")])
def test_several_lobes_are_told(backend: Backend, monkeypatch: pytest.MonkeyPatch, z_mm: float, words: str) -> None:
    scan = make_ct.make(**SCAN, tumours=(Tumour((-76.0, -20.0, z_mm), (14.0, 14.0, 22.0)),))
    monkeypatch.setattr(anatomy_module, "lobes_of", lambda *_: scan.truth.lobe_mask)
    found = analyse(read_ct(scan.datasets), backend)
    assert judged(found, "GTV_1")["LOBES-HELD"] == words
    assert ("several lobes: " in found.headline.words) == (words == "Several lobes")
    assert (found.group("GTV_1")["lobe_percent"] < 75) == (words == "Several lobes")


class Told:
    """A back end whose model has another rule."""

    def __init__(self, backend: Backend, **measured: float) -> None:
        self.backend, self.measured = backend, measured

    def __getattr__(self, name: str) -> object:
        return getattr(self.backend, name)

    def spec(self, name: str) -> ModelSpec:
        spec = self.backend.spec(name)
        return replace(spec, measured=dict(spec.measured) | self.measured) if name == "lung-tumour" else spec

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return self.backend.infer(name, inputs)


def test_the_rule_is_that_of_the_model(backend: Backend) -> None:
    strict: Any = Told(backend, least_ml=5.0)
    found = analyse(phantom(LARGE, SMALL), strict)
    assert found.group("TUMOUR")["finding_count"] == 1 and found.group("TUMOUR")["rule_least_ml"] == 5.0
    assert warnings.PARTS_LEFT_OUT in found.flags


def test_the_report_shows_the_axes_and_the_outline_in_the_slice_of_the_longest_diameter(
    two: tuple[CT, Analysis],
) -> None:
    ct, found = two
    body = NsclcGtv().report(ct, found, no_step)
    line = next(one.line for one in found.group("GTV_1").measurements if one.name == "longest_diameter_mm")
    assert f"z {line[0][2]:.1f} mm" in body.large[0].caption
    rgb = body.large[1].picture.rgb.astype(int)
    for colour in AXES.values():
        drawn = (np.abs(rgb - colour).sum(-1) == 0).sum()
        assert drawn > 60, colour
    magenta = (np.abs(rgb - GTV_MARK.rgb).sum(-1) == 0).sum()
    assert magenta > 100
    assert not (np.abs(body.large[0].picture.rgb.astype(int) - GTV_MARK.rgb).sum(-1) == 0).any()
    assert [figure.sides for figure in body.small] == [("R", "L"), ("A", "P")]
    yellow = np.argwhere((np.abs(rgb - AXES["longest_diameter_mm"]).sum(-1)) == 0)
    extent_mm = np.ptp(yellow, axis=0).max() * body.large[1].picture.mm_per_pixel
    assert extent_mm == pytest.approx(np.linalg.norm(np.subtract(*line)), abs=3.0)
    assert yellow[:, 1].mean() < rgb.shape[1] / 2, "the patient's right is on the left"


@pytest.mark.parametrize(("spacing_mm", "slices", "ok"), [(10.0, 22, True), (2.5, 88, True), (12.0, 20, False)])
def test_the_gate_lets_slices_of_up_to_10_mm_pass(spacing_mm: float, slices: int, ok: bool) -> None:
    datasets = make_ct.make(slices=slices, spacing_mm=spacing_mm).datasets
    assert check_headers(datasets, NsclcGtv().limits).ok is ok
