"""The demo tells the expert's numbers beside those in the SRs that came back."""

import json
from pathlib import Path

import pytest
from helpers import evidence_samples, make_ct, tiny_tumour
from helpers.tumours import Tumour

from demo import tumour as tumour_module
from demo.tumour import EXPERT as EXPERT_FILE
from demo.tumour import beside_expert
from service.domain.ports import no_step, unheard
from service.evidence.encode import encode
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.nsclc_gtv.pipeline import NsclcGtv

pytestmark = pytest.mark.slow

EXPERT = "the expert: 55.0 mL, 59.7 mm x 43.9 mm in the axial plane"


@pytest.mark.parametrize("tumours", [(Tumour((-76.0, -28.0, 34.0), (22.0, 16.0, 18.0)),), ()], ids=["one", "none"])
def test_volume_and_diameters_are_read_from_the_reports(
    tumours: tuple[Tumour, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ct, pipeline = (
        read_ct(make_ct.make(pixel_mm=(2.0, 2.0), rows=128, columns=176, tumours=tumours).datasets),
        NsclcGtv(),
    )
    found = pipeline.analyse(ct, OnnxBackend(tiny_tumour.repository(tmp_path / "models"), 1), unheard)
    body = pipeline.report(ct, found, no_step)
    for item in encode(ct, found, lambda: body, evidence_samples.context(ct, pipeline=found.pipeline)):
        (tmp_path / item.file_name).write_bytes(item.content)
    received = sorted(tmp_path.glob("*.dcm"))
    (told,) = beside_expert(received)
    of_this = json.loads(EXPERT_FILE.read_text(encoding="utf-8")) | {
        "series_instance_uid": str(ct.headers[0].SeriesInstanceUID)
    }
    (tmp_path / "expert.json").write_text(json.dumps(of_this), encoding="utf-8")
    monkeypatch.setattr(tumour_module, "EXPERT", tmp_path / "expert.json")
    assert list(beside_expert(received)) == [told, EXPERT]
    if tumours:
        gtv = found.group("GTV_1")
        assert told == (
            f"nsclc-gtv: {gtv['volume_ml']:.1f} mL, {gtv['longest_diameter_mm']:.1f} mm x "
            f"{gtv['perpendicular_diameter_mm']:.1f} mm in the axial plane"
        )
    else:
        assert told == "nsclc-gtv: no tumour found"
    assert list(beside_expert([one for one in received if not one.name.endswith(".sr.dcm")])) == []
