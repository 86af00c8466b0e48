"""Evidence of covid-triage before dicom3tools: with a classifier, with and without a lesion, and in dense lung."""

import subprocess
from pathlib import Path

import pytest
from helpers import evidence_samples, make_ct, tiny_models
from helpers.phantom import FINDINGS
from helpers.programs import program

from service.domain.ports import unheard
from service.evidence.context import ALWAYS, Selection
from service.evidence.encode import encode
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.covid_triage.flags import DENSE_LUNG
from service.pipelines.covid_triage.pipeline import CovidTriage

pytestmark = pytest.mark.peers


def errors(tool: str, *paths: Path) -> list[str]:
    outcome = subprocess.run([program(tool), *paths], capture_output=True, text=True, check=False)
    return [line for line in (outcome.stdout + outcome.stderr).splitlines() if "Error" in line]


@pytest.mark.parametrize(("lesions", "dense"), [(True, False), (False, False), (True, True)])
def test_every_object_is_valid_and_the_set_is_consistent(
    lesions: bool, dense: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if dense:
        told = DENSE_LUNG.because("The lung is 300 HU denser at the back.")
        monkeypatch.setattr("service.pipelines.covid_triage.pipeline._dense_lung", lambda *_: iter((told,)))
    scan = make_ct.make(slices=50, spacing_mm=5.0, findings=FINDINGS if lesions else ())
    make_ct.write(scan.datasets, tmp_path / "source")
    ct = read_ct(scan.datasets)
    root = tiny_models.repository(tmp_path / "models")
    tiny_models.serve(root, tiny_models.triage_infection(), tiny_models.TRIAGE_INFECTION)
    pipeline = CovidTriage()
    analysis = pipeline.analyse(ct, OnnxBackend(root, 1), unheard)
    assert bool(analysis.explanations) == (lesions and not dense)
    body = pipeline.report(ct, analysis, lambda: None)
    context = evidence_samples.context(ct, pipeline=analysis.pipeline)
    objects = []
    for item in encode(
        ct, analysis, lambda: body, context, [Selection(kinds=ALWAYS | {"capture", "text", "heat-map"})]
    ):
        (tmp_path / item.file_name).write_bytes(item.content)
        objects += [tmp_path / item.file_name] if item.file_name.endswith(".dcm") else []
    expected = {"lobes.seg.dcm", "measurements.sr.dcm", "study.sr.dcm"}
    expected |= {"lesions.seg.dcm"} if lesions else set()
    expected |= {"heat-map.infection.pm.dcm"} if lesions and not dense else set()
    assert {path.name for path in objects} >= expected
    assert [error for path in objects for error in errors("dciodvfy", path)] == []
    assert errors("dcentvfy", tmp_path / "source/0000.dcm", *objects) == []
