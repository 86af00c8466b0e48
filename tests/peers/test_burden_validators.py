"""Evidence of covid-burden before dicom3tools: a burden that is given, and one that is withheld."""

import subprocess
from dataclasses import replace
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
from service.pipelines.covid_burden.pipeline import CovidBurden
from service.pipelines.shared import lobes_and_opacities
from service.pipelines.shared.reliability import Reliability

pytestmark = pytest.mark.peers

UNSURE = Reliability(agreement=0.1, clear_hu=-850.0, gradient_hu=20.0, dome_percent=90.0)


def errors(tool: str, *paths: Path) -> list[str]:
    outcome = subprocess.run([program(tool), *paths], capture_output=True, text=True, check=False)
    return [line for line in (outcome.stdout + outcome.stderr).splitlines() if "Error" in line]


@pytest.mark.parametrize("given", [True, False])
def test_every_object_is_valid_and_the_set_is_consistent(
    given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not given:
        real = lobes_and_opacities.opacities_of
        monkeypatch.setattr(lobes_and_opacities, "opacities_of", lambda *args: replace(real(*args), reliability=UNSURE))
    scan = make_ct.make(slices=50, spacing_mm=5.0, findings=FINDINGS)
    make_ct.write(scan.datasets, tmp_path / "source")
    ct = read_ct(scan.datasets)
    backend = OnnxBackend(tiny_models.repository(tmp_path / "models"), 1)
    pipeline = CovidBurden()
    analysis = pipeline.analyse(ct, backend, unheard)
    assert (analysis.headline.value is not None) == given
    body = pipeline.report(ct, analysis, lambda: None)
    context = evidence_samples.context(ct, pipeline=analysis.pipeline)
    objects = []
    for item in encode(ct, analysis, lambda: body, context, [Selection(kinds=ALWAYS | {"capture", "text"})]):
        (tmp_path / item.file_name).write_bytes(item.content)
        objects += [tmp_path / item.file_name] if item.file_name.endswith(".dcm") else []
    assert {path.name for path in objects} >= {"lobes.seg.dcm", "findings.seg.dcm", "measurements.sr.dcm"}
    assert [error for path in objects for error in errors("dciodvfy", path)] == []
    assert errors("dcentvfy", tmp_path / "source/0000.dcm", *objects) == []
