"""Findings at every edge of the images: their result is encoded, and told to be cut off."""

from typing import Any

import numpy as np
import pytest
from helpers import evidence_samples, make_ct, tiny_tumour

from service.domain.analysis import Analysis
from service.domain.ct import CT
from service.domain.ports import Backend, no_step, unheard
from service.evidence.encode import encode
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.nsclc_gtv import flags as warnings
from service.pipelines.nsclc_gtv import pipeline as pipeline_module
from service.pipelines.nsclc_gtv.field_answers import FieldAnswers, field_answers
from service.pipelines.nsclc_gtv.pipeline import NsclcGtv

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
    monkeypatch.setattr(FieldAnswers, "cut_part", property(lambda _: 0.0), raising=False)
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
    assert "axes.sr.dcm" in {item.file_name for item in encode(ct, found, lambda: body, context)}
    assert [flag.detail for flag in found.flags if flag == warnings.TUMOUR_AT_EDGE] == ["GTV-1."]
