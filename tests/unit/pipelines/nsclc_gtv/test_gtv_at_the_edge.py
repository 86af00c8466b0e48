"""Findings at every edge of the images: their result is encoded, and told to be cut off."""

from typing import Any

import numpy as np
import pytest
from helpers import evidence_samples, make_ct, tiny_tumour
from helpers.tumours import Tumour

from service.domain import codes
from service.domain.analysis import Analysis, Site
from service.domain.ct import CT
from service.domain.ports import Backend, no_step, unheard
from service.evidence.encode import encode
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.nsclc_gtv import flags as warnings
from service.pipelines.nsclc_gtv import pipeline as pipeline_module
from service.pipelines.nsclc_gtv import raised as raised_module
from service.pipelines.nsclc_gtv.field_answers import FieldAnswers, field_answers
from service.pipelines.nsclc_gtv.pipeline import NsclcGtv
from service.pipelines.nsclc_gtv.report_figures import GTV_MARK

pytestmark = pytest.mark.slow

SCAN: dict[str, Any] = {"slices": 48, "spacing_mm": 5.0, "rows": 96, "columns": 128, "pixel_mm": (3.0, 3.0)}
Box = tuple[slice, slice, slice]


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    return OnnxBackend(tiny_tumour.repository(tmp_path_factory.mktemp("edge") / "models"), 1)


@pytest.fixture(scope="module")
def ct() -> CT:
    return read_ct(make_ct.make(**SCAN).datasets)


def analysed(ct: CT, backend: Backend, monkeypatch: pytest.MonkeyPatch, *boxes: Box) -> Analysis:
    """What is told where the network outlines bodies with blunt corners in these boxes."""
    said = np.zeros(ct.volume.spatial_shape, np.uint8)
    for box in boxes:
        part = said[box]
        part[:] = 255
        part[:, 0, 0] = part[:, -1, -1] = 0
        part[:, 0, -2:] = 0

    def answers(*asked: Any) -> FieldAnswers:
        return FieldAnswers(field_answers(*asked).grid, ct.volume.with_array(said))

    monkeypatch.setattr(pipeline_module, "field_answers", answers)
    monkeypatch.setattr(raised_module, "cut_parts", lambda *_: {})  # it needs both on one grid
    return NsclcGtv().analyse(ct, backend, unheard)


@pytest.mark.parametrize(
    "box",
    [
        (slice(20, 26), slice(0, 9), slice(30, 43)),
        (slice(20, 26), slice(-9, None), slice(30, 43)),
        (slice(20, 26), slice(40, 53), slice(0, 9)),
        (slice(20, 26), slice(40, 53), slice(-9, None)),
        (slice(0, 5), slice(40, 53), slice(30, 43)),
        (slice(-5, None), slice(-9, None), slice(-12, None)),
    ],
    ids=["front", "back", "right", "left", "first slice", "last slice, corner"],
)
def test_a_finding_at_an_edge_is_encoded_and_told(
    ct: CT, backend: Backend, monkeypatch: pytest.MonkeyPatch, box: Box
) -> None:
    found = analysed(ct, backend, monkeypatch, box)
    pipeline = NsclcGtv()
    context = evidence_samples.context(ct, pipeline=found.pipeline)
    body = pipeline.report(ct, found, no_step)
    for figure in (body.large[1], *body.small):
        assert "GTV-1" in figure.caption
        assert (np.abs(figure.picture.rgb.astype(int) - GTV_MARK.rgb).sum(-1) == 0).sum() > 30, figure.caption
    assert "axes.sr.dcm" in {item.file_name for item in encode(ct, found, lambda: body, context)}
    assert [flag.detail for flag in found.flags if flag == warnings.TUMOUR_AT_EDGE] == ["GTV-1."]


def raised(found: Analysis) -> dict[str, str]:
    return {flag.code: flag.detail for flag in found.flags}


def test_each_finding_that_the_field_cuts_is_named(backend: Backend) -> None:
    """A larger one in the left lung dilutes nothing: the one in the chest wall is told for itself."""
    scan = {"slices": 88, "spacing_mm": 2.5, "rows": 128, "columns": 176, "pixel_mm": (2.0, 2.0)}
    inside, wall = Tumour((84.0, 0.0, 0.0), (18.0, 30.0, 40.0)), Tumour((-140.0, 0.0, 0.0), (8.0, 8.0, 8.0))
    found = NsclcGtv().analyse(read_ct(make_ct.make(**scan, tumours=(inside, wall)).datasets), backend, unheard)
    assert raised(found)["FIELD_CUTS_TUMOUR"].startswith("Candidate 1: ")
    outside = raised(found)["OUTSIDE_LUNGS"]
    assert outside.startswith("Candidate 1: beside the lung, nearest: right ") and outside.endswith(" mm.")
    candidate = found.group("CANDIDATE_1")
    assert candidate.site == Site(codes.LUNG, codes.RIGHT) and candidate["lung_gap_mm"] > 0
    assert not {"lobe_percent", "pleura_distance_mm"} & {one.name for one in candidate.measurements}


def test_of_the_rest_what_is_cut_off_is_told_too(ct: CT, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = [
        (slice(4 + 5 * k, 8 + 5 * k), slice(40, 50), slice(20 * j + 34, 20 * j + 46)) for k in range(6) for j in (0, 3)
    ]
    found = analysed(ct, backend, monkeypatch, *boxes, (slice(20, 23), slice(0, 6), slice(60, 66)))
    assert raised(found)["TUMOUR_AT_EDGE"] == "More candidates."


def test_a_finding_that_the_imaged_circle_cuts_is_told(backend: Backend) -> None:
    scan = {"slices": 88, "spacing_mm": 2.5, "rows": 96, "columns": 96, "pixel_mm": (2.0, 2.0), "padding": True}
    for tumour, cut in (((-68.0, -66.0, 0.0), True), ((-60.0, 0.0, 0.0), False)):
        ball = Tumour(tumour, (14.0, 14.0, 14.0))
        ct = read_ct(make_ct.make(**scan, centre_mm=(0.0, 0.0, 0.0), tumours=(ball,)).datasets)
        found = NsclcGtv().analyse(ct, backend, unheard)
        assert (raised(found).get("TUMOUR_AT_EDGE") == "GTV-1.") == cut


def test_slices_thicker_than_the_network_learned_are_told(
    ct: CT, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = (slice(8, 14), slice(40, 54), slice(34, 46))
    assert "THICKER_THAN_TRAINED" not in raised(analysed(ct, backend, monkeypatch, box))
    thick = read_ct(make_ct.make(**SCAN | {"slices": 30, "spacing_mm": 8.0, "thickness_mm": 8.0}).datasets)
    told = raised(analysed(thick, backend, monkeypatch, box))
    assert told["THICKER_THAN_TRAINED"] == "8.0 mm; trained up to 6 mm."
