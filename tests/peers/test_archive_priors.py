"""Earlier results that only an archive has: Orthanc is asked by QIDO-RS, and its objects are fetched by WADO-RS."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import make_ct
from helpers.dicom_peers import Orthanc
from helpers.nodules import Nodules
from helpers.two_visits import DAYS, FIRST, HIGH, LEFT, RIGHT, RUN, SECOND, analysed, nodule, visit
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from service.analysis.analyst import Analyst, Outcome
from service.analysis.archive_priors import ArchivePriors
from service.analysis.compare_with_prior import Comparer
from service.domain.comparison import Match
from service.domain.eligibility import Limits
from service.domain.ports import unheard
from service.network.send import Verdict
from service.network.stow import store
from service.network.web import WebNode
from service.store.dicom_folder import scan

pytestmark = pytest.mark.peers

GROWN = (nodule(RIGHT, 8.0), nodule(HIGH, 1.0))


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("before")
    analysed(visit(FIRST, nodule(RIGHT, 4.0), nodule(LEFT, 2.0)), folder)
    return folder


@pytest.fixture(scope="module")
def archive(before: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebNode]:
    """An archive with the CT of a year before and our objects of it, but no result.json."""
    with Orthanc(tmp_path_factory.mktemp("archive")) as orthanc:
        node = WebNode("archive", f"{orthanc.url}/dicom-web")
        files = [*sorted((before / "ct").glob("*.dcm")), *sorted(before.glob("*.dcm"))]
        assert {one.verdict for one in store(node, files)} == {Verdict.STORED}
        yield node


def compared(datasets: list[Dataset], folder: Path, node: WebNode, told: list[str] | None = None) -> Outcome:
    make_ct.write(datasets, folder / "ct")
    asked = [] if told is None else told
    comparer = Comparer(ArchivePriors(node, 30.0, 10.0, asked.append))
    analyst = Analyst(Nodules(), None, Limits(), "0.1.0", comparer=comparer)  # type: ignore[arg-type]
    return analyst.analyse(scan([folder / "ct"]), unheard, {}, RUN)


@pytest.mark.conformance("web-services/retrieve")
def test_the_same_is_compared_as_from_the_services_own_files(archive: WebNode, before: Path, tmp_path: Path) -> None:
    told: list[str] = []
    scan_of = visit(SECOND, *GROWN, turned_deg=5.0)
    outcome = compared(scan_of, tmp_path / "archive", archive, told)
    own = analysed(scan_of, tmp_path / "own", before)
    assert outcome.analysis is not None and own.analysis is not None
    found, expected = outcome.analysis.comparison, own.analysis.comparison
    assert found is not None and expected is not None
    assert (found.numbers, found.findings, found.days) == (expected.numbers, expected.findings, DAYS)
    assert (found.overlap, found.remarks, found.objects) == (expected.overlap, expected.remarks, expected.objects)
    assert found.result == expected.result and Match.MATCHED in {one.match for one in found.findings}
    assert told == [str(scan_of[0].StudyInstanceUID)], "the hospital's audit trail hears of the question"


def test_another_patient_of_the_same_id_is_refused(archive: WebNode, tmp_path: Path) -> None:
    outcome = compared(visit(SECOND, *GROWN, attributes={"PatientBirthDate": "19500101"}), tmp_path, archive)
    assert outcome.document["flags"] == ["PRIOR_CONTRADICTS"]


def test_another_patient_id_finds_nothing(archive: WebNode, tmp_path: Path) -> None:
    outcome = compared(visit(SECOND, *GROWN, attributes={"PatientID": "NOBODY"}), tmp_path, archive)
    assert outcome.analysis is not None
    assert outcome.document["flags"] == [] and outcome.analysis.comparison is None


def test_objects_of_others_with_our_series_numbers_are_passed_over(
    archive: WebNode, before: Path, tmp_path: Path
) -> None:
    foreign = dcmread(before / "study.sr.dcm")
    foreign.Manufacturer, foreign.StudyDate = "Somebody else", "20241001"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(foreign, keyword, generate_uid())
    foreign.file_meta.MediaStorageSOPInstanceUID = foreign.SOPInstanceUID
    foreign.save_as(tmp_path / "foreign.dcm")
    assert [one.verdict for one in store(archive, [tmp_path / "foreign.dcm"])] == [Verdict.STORED]
    outcome = compared(visit(SECOND, *GROWN, turned_deg=5.0), tmp_path, archive)
    assert outcome.analysis is not None and outcome.analysis.comparison is not None
    assert outcome.analysis.comparison.days == DAYS


def test_an_earlier_ct_is_not_compared_with_a_later_one(archive: WebNode, tmp_path: Path) -> None:
    outcome = compared(visit("20230501", *GROWN), tmp_path, archive)
    assert outcome.analysis is not None and outcome.analysis.comparison is None


def test_an_archive_that_is_away_is_said_and_the_result_is_there(tmp_path: Path) -> None:
    outcome = compared(visit(SECOND, *GROWN), tmp_path, WebNode("archive", "http://127.0.0.1:9/dicom-web"))
    assert outcome.analysis is not None and outcome.document["flags"] == ["PRIOR_NOT_ASKED"]
    assert "The archive could not be asked for earlier results. Archive: connection failed" in " ".join(
        outcome.document["warnings"]
    ).replace("archive:", "Archive:")
