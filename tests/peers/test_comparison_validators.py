"""Evidence of a CT that was compared with an earlier one before dicom3tools and dcmqi."""

import json
import subprocess
from pathlib import Path

import pytest
from helpers.programs import program
from helpers.two_visits import FIRST, HIGH, LEFT, RIGHT, SECOND, analysed, nodule, visit

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the second visit: one nodule grown, one new, one gone."""
    before, after = tmp_path_factory.mktemp("before"), tmp_path_factory.mktemp("after")
    analysed(visit(FIRST, nodule(RIGHT, 4.0), nodule(LEFT, 2.0)), before)
    outcome = analysed(visit(SECOND, nodule(RIGHT, 8.0), nodule(HIGH, 1.0), turned_deg=5.0), after, before)
    assert outcome.analysis is not None and outcome.analysis.comparison is not None
    return after


def errors(tool: str, *paths: Path) -> list[str]:
    outcome = subprocess.run([program(tool), *paths], capture_output=True, text=True, check=False)
    return [line for line in (outcome.stdout + outcome.stderr).splitlines() if "Error" in line]


def test_every_object_is_valid_and_the_set_is_consistent(results: Path) -> None:
    objects = sorted(results.glob("*.dcm"))
    assert {path.name for path in objects} >= {"study.sr.dcm", "measurements.sr.dcm", "nodules.seg.dcm"}
    assert [error for path in objects for error in errors("dciodvfy", path)] == []
    assert errors("dcentvfy", results / "ct/0000.dcm", *objects) == []


def test_dcmtk_reads_the_document_with_its_reference_to_the_earlier_study(results: Path) -> None:
    run = subprocess.run([program("dsrdump"), results / "study.sr.dcm"], capture_output=True, text=True, check=True)
    for expected in ("Prior report for current patient", "Change per year since the earlier CT", "NODULE_1.EARLIER"):
        assert expected in run.stdout, expected
    document = json.loads((results / "result.json").read_text())
    assert document["comparison"]["findings"][0]["doubling_days"] == pytest.approx(365, rel=0.1)
