"""The RT Structure Set on its way: to archives that take it, take it in another encoding, or refuse it."""

from pathlib import Path

import pytest
from helpers import evidence_samples, make_ct
from helpers.choosy_archive import ChoosyArchive
from helpers.dicom_peers import Orthanc
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RTStructureSetStorage

from service.composition.destinations import selections, targets
from service.evidence.context import STRUCTURE_SET, Evidence
from service.network.send import StoreOutcome, Verdict
from service.settings import DicomDestination, WebDestination

pytestmark = pytest.mark.peers

ONLY = ("rtstruct",)
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS, slices=44, spacing_mm=5.0)
    wanted = selections([DicomDestination(ae_title="PLANNING", host="planning", send=ONLY)])
    evidence: tuple[Evidence, ...] = evidence_samples.encoded(ct, analysis, evidence_samples.context(ct), wanted)
    (found,) = [one for one in evidence if one.kind == STRUCTURE_SET.kind]
    path = tmp_path_factory.mktemp("result") / found.file_name
    path.write_bytes(found.content)
    return path


def sent(archive: ChoosyArchive, file: Path) -> StoreOutcome:
    planning = DicomDestination(ae_title=archive.AET, host="127.0.0.1", port=archive.port, send=ONLY)
    target = targets({"planning": planning})["planning"]
    assert target.kinds == {STRUCTURE_SET.kind}
    (outcome,) = target.send([file])
    return outcome


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda one: one.name)
def test_an_archive_gets_the_same_contours_in_the_encoding_that_it_takes(
    tmp_path: Path, file: Path, syntax: str
) -> None:
    with ChoosyArchive(tmp_path / "pacs", takes={RTStructureSetStorage: [syntax]}) as archive:
        outcome = sent(archive, file)
        (got,) = map(dcmread, archive.got)
    assert outcome.verdict is Verdict.STORED and outcome.sent_as is None
    assert got.file_meta.TransferSyntaxUID == syntax
    assert got == original(file)


def original(file: Path) -> Dataset:
    found = dcmread(file)
    assert len(found.ROIContourSequence) == 7
    return found


def test_an_archive_that_does_not_know_structure_sets_refuses_it_by_name(tmp_path: Path, file: Path) -> None:
    with ChoosyArchive(tmp_path / "pacs", takes={"1.2.840.10008.5.1.4.1.1.2": [ExplicitVRLittleEndian]}) as archive:
        outcome = sent(archive, file)
    assert outcome.verdict is Verdict.PERMANENT and outcome.unsupported
    assert "RT Structure Set Storage in Explicit VR Little Endian is not accepted" in outcome.message


def test_orthanc_stores_it_over_dicomweb_and_counts_its_rois(tmp_path: Path, file: Path) -> None:
    with Orthanc(tmp_path / "orthanc") as orthanc:
        target = targets({"web": WebDestination(kind="dicomweb", url=f"{orthanc.url}/dicom-web", send=ONLY)})["web"]
        (outcome,) = target.send([file])
        assert outcome.verdict is Verdict.STORED, outcome.message
        (instance,) = orthanc.get("/instances")
        assert len(orthanc.get(f"/instances/{instance}/content/3006-0039")) == 7
