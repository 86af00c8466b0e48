"""A suspected tumour as OHIF shows it: both axes on their image with their millimetres, and its outline."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import evidence_samples, make_ct, ohif, tiny_tumour
from helpers.dicom_peers import Orthanc
from helpers.tumours import Tumour
from PIL import Image
from pydicom.uid import generate_uid

from service.domain.ports import no_step, unheard
from service.evidence.encode import encode
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.nsclc_gtv.pipeline import NsclcGtv
from service.pipelines.nsclc_gtv.segments import GTV

pytestmark = pytest.mark.peers

TUMOUR = Tumour((-76.0, -28.0, 34.0), (22.0, 14.0, 18.0), turned_degrees=25.0)
GREEN = (0, 255, 0)
"""How the viewer draws what it reads from an SR."""


def test_ohif_draws_both_axes_and_the_outline(tmp_path: Path) -> None:
    uid = str(generate_uid(entropy_srcs=["ohif", "axes"]))
    scan = make_ct.make(
        pixel_mm=(2.0, 2.0), rows=128, columns=176, tumours=(TUMOUR,), attributes={"StudyInstanceUID": uid}
    )
    ct, pipeline = read_ct(scan.datasets), NsclcGtv()
    found = pipeline.analyse(ct, OnnxBackend(tiny_tumour.repository(tmp_path / "models"), 1), unheard)
    context = evidence_samples.context(ct, pipeline=found.pipeline)
    made = encode(ct, found, lambda: pipeline.report(ct, found, no_step), context)
    images = [path.read_bytes() for path in make_ct.write(scan.datasets, tmp_path / "ct")]
    gtv = found.group("GTV_1")
    lines = [np.array(one.line) for one in gtv.measurements if one.along]
    with Orthanc(tmp_path / "pacs") as pacs, ohif.browser() as chromium:
        ohif.store(pacs, *images, *(one.content for one in made if one.kind in ("tumour", "axes", "study")))
        with ohif.study(chromium, pacs, uid) as page:
            words = f"Long axis: {gtv['longest_diameter_mm']:.1f}"
            shown = ohif.document(page, "AI axes v1", words, "ohif-axes.png")
            assert f"Short axis: {gtv['perpendicular_diameter_mm']:.1f}" in shown
            page.wait_for_timeout(1000)
            ohif.keep_picture(page, "ohif-axes.png")
            for ends in lines:
                assert green_along(page, ends) > 0.3, "the line is dashed"
                away = ends + np.array([0.0, 40.0, 0.0])
                assert green_along(page, away) < 0.05
        with ohif.study(chromium, pacs, uid) as page:
            number = int(np.rint(ct.volume.map_reference_to_indices(lines[0][:1])[0, 0]))
            (segment,) = ohif.segments(page, "AI lung tumour v1", number, "ohif-tumour.png")
            middle = lines[0].mean(0)
            beside = middle + np.array([0.0, 40.0, 0.0])
            inside, outside = ohif.drawn(page, [middle.tolist(), beside.tolist()], "ohif-tumour.png")
    assert (segment.label, segment.voxels) == ("GTV-1", np.count_nonzero(found.label_map("tumour").labels))
    assert np.allclose(segment.rgb, GTV.rgb, atol=4)
    assert inside[0] > inside[1] + 20 < inside[2], "magenta on the white of the tumour"
    assert max(outside) - min(outside) < 20


def green_along(page: Any, ends: np.ndarray) -> float:
    """Part of the points of a line, LPS in mm, beside which the kept picture is as the viewer draws SRs."""
    with Image.open(ohif.PICTURES / "ohif-axes.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    points = [(ends[0] + part * (ends[1] - ends[0])).tolist() for part in np.linspace(0.05, 0.95, 60)]
    found = []
    for x, y in page.evaluate(ohif.ON_PAGE, points):
        near = pixels[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3].reshape(-1, 3)
        found.append(bool((np.abs(near - GREEN).sum(1) < 150).any()))
    return float(np.mean(found))
