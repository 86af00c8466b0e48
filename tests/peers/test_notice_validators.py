"""The notice before independent judges: dciodvfy and dcentvfy (dicom3tools), dsrdump (DCMTK)."""

import subprocess
from pathlib import Path

import pytest
from helpers import make_ct, notice_samples
from helpers.dicom_peers import dcmtk
from helpers.notice_samples import SCOUT, TOO_THICK, UID, header, several
from helpers.programs import program
from pydicom import Dataset

from service.errors import Refusal
from service.evidence.notice import encode_notice

pytestmark = pytest.mark.peers

Study = tuple[list[Dataset], dict[str, tuple[Refusal, ...]]]

STUDIES: dict[str, Study] = {
    "one": ([header(SeriesDescription="Thorax 7.0")], {UID: (TOO_THICK,)}),
    "five": several(5, PatientName="Hong^Gildong=洪^吉洞=홍^길동"),
    "arabic": several(2, PatientName="محمد^علي"),
    "scout": ([header(f"{UID}.1"), header(f"{UID}.2")], {f"{UID}.1": (SCOUT,), f"{UID}.2": (TOO_THICK, SCOUT)}),
    "bare": (
        [header(PatientName="", PatientID="", StudyDate="", StudyTime="", AcquisitionTime=None, SeriesNumber=None)],
        {UID: (TOO_THICK,), "1.2.3": (TOO_THICK,)},
    ),
}


@pytest.fixture(params=STUDIES)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[Path]]:
    """The CT image that tells the patient, and the notice's objects."""
    headers, refusals = STUDIES[request.param]
    (source,) = make_ct.write(headers[:1], tmp_path / "source")
    objects = []
    for item in encode_notice(headers, refusals, notice_samples.context(headers), {UID: 28}):
        if item.sop_class_uid is not None:
            objects.append(tmp_path / item.file_name)
            objects[-1].write_bytes(item.content)
    return source, objects


def errors(tool: str, *paths: Path) -> list[str]:
    outcome = subprocess.run([program(tool), *paths], capture_output=True, text=True, check=False)
    return [line for line in (outcome.stdout + outcome.stderr).splitlines() if "Error" in line]


def test_both_objects_are_valid_and_consistent(files: tuple[Path, list[Path]]) -> None:
    source, objects = files
    assert len(objects) == 2
    assert not [error for path in objects for error in errors("dciodvfy", path)]
    assert not errors("dcentvfy", source, *objects)


def test_dcmtk_reads_the_report(files: tuple[Path, list[Path]]) -> None:
    outcome = dcmtk("dsrdump", "+Pl", files[1][0])
    assert outcome.returncode == 0, outcome.stderr
    for expected in (
        "Basic Text SR Document",
        "Verification Flag   : UNVERIFIED",
        "Chest CT not analysed",
        "Reason why not analysed",
        "Not analysed is not the same as normal.",
    ):
        assert expected in outcome.stdout, expected
