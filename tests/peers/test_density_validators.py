"""Evidence of lung-density before dicom3tools: of a CT that is comparable with others, and of one that is not."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from helpers import evidence_samples, make_ct, tiny_models
from helpers.programs import program
from pydicom import Dataset, dcmread

from service.domain.ports import no_step, unheard
from service.evidence.context import ALWAYS, Selection
from service.evidence.encode import encode
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.lung_density.flags import not_comparable
from service.pipelines.lung_density.pipeline import LungDensity

pytestmark = pytest.mark.peers

GOOD = {"PatientSex": "F", "PatientSize": "1.50"}
DOUBTED = {"ConvolutionKernel": "B70f", "ContrastBolusAgent": "Iomeron 400", "CTDIvol": 1.1}


def errors(tool: str, *paths: Path) -> list[str]:
    outcome = subprocess.run([program(tool), *paths], capture_output=True, text=True, check=False)
    return [line for line in (outcome.stdout + outcome.stderr).splitlines() if "Error" in line]


def codes_of(item: Dataset) -> set[str]:
    """Code values of all concepts in an SR."""
    found = {str(one.CodeValue) for one in item.get("ConceptNameCodeSequence", ()) if "CodeValue" in one}
    return found.union(*(codes_of(child) for child in item.get("ContentSequence", ())))


@pytest.mark.parametrize(("attributes", "comparable"), [(GOOD, True), (DOUBTED, False)])
def test_every_object_is_valid_and_says_what_is_not_comparable(
    attributes: dict[str, Any], comparable: bool, tmp_path: Path
) -> None:
    scan = make_ct.make(
        slices=52,
        spacing_mm=4.0,
        thickness_mm=1.0,
        pixel_mm=(2.0, 2.0),
        rows=128,
        columns=176,
        noise_hu=25.0,
        findings=make_ct.FINDINGS,
        attributes=attributes,
    )
    make_ct.write(scan.datasets, tmp_path / "source")
    ct = read_ct(scan.datasets)
    pipeline = LungDensity()
    analysis = pipeline.analyse(ct, OnnxBackend(tiny_models.repository(tmp_path / "models"), 1), unheard)
    assert bool(not_comparable(analysis.flags)) != comparable
    body = pipeline.report(ct, analysis, no_step)
    context = evidence_samples.context(ct, pipeline=analysis.pipeline)
    objects = []
    for item in encode(ct, analysis, lambda: body, context, [Selection(kinds=ALWAYS | {"capture", "text"})]):
        (tmp_path / item.file_name).write_bytes(item.content)
        objects += [tmp_path / item.file_name] if item.file_name.endswith(".dcm") else []
    assert {path.name for path in objects} >= {"lobes.seg.dcm", "density.seg.dcm", "measurements.sr.dcm"}
    assert [error for path in objects for error in errors("dciodvfy", path)] == []
    assert errors("dcentvfy", tmp_path / "source/0000.dcm", *objects) == []
    told = {name: codes_of(dcmread(tmp_path / f"{name}.sr.dcm")) for name in ("study", "measurements")}
    for codes in told.values():
        assert codes >= {"LAA-950", "PERC15", "HAA-600-250"} and ("LAA-950-COMP" in codes) != comparable
        assert ("PD15-ADJ" in codes) == comparable
