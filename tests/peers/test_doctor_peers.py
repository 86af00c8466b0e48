"""What `thoracle doctor` says of peers that answer and would not do what they are configured for."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from helpers.choosy_archive import ChoosyArchive
from helpers.dicom_peers import Orthanc
from pydicom.uid import (
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SegmentationStorage,
)

from service.composition.doctor import _caller, _destination
from service.ops.doctor import Check
from service.settings import Caller, DicomDestination, Settings

HERE = ip_network("127.0.0.1")

pytestmark = pytest.mark.peers

PLAIN = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


def told(archive: ChoosyArchive, **options: Any) -> list[Check]:
    pacs = DicomDestination(ae_title=archive.AET, host="127.0.0.1", port=archive.port, **options)
    return list(_destination("pacs", pacs))


def test_an_archive_that_takes_everything_and_commits(tmp_path: Path) -> None:
    with ChoosyArchive(tmp_path, finds=True, commits=0x0000) as archive:
        answers, storage, confirmation = told(
            archive, seg="labelmap", send=["seg", "sr", "pdf", "capture"], notice=True
        )
    where = f"PACS@127.0.0.1:{archive.port}"
    assert (answers.ok, answers.message) == (True, f"{where} answers")
    assert (storage.name, storage.ok) == ("destination pacs, storage", True)
    assert storage.message == (
        f"{where} takes Label Map Segmentation Storage, Comprehensive 3D SR Storage, Encapsulated PDF Storage, "
        "Secondary Capture Image Storage, Basic Text SR Storage"
    )
    assert (confirmation.ok, confirmation.message) == (True, f"{where} takes requests for storage commitment")
    assert archive.got == [], "it was sent nothing"


def test_an_archive_that_answers_and_refuses_storage(tmp_path: Path) -> None:
    with ChoosyArchive(tmp_path, takes={EncapsulatedPDFStorage: PLAIN}) as archive:
        answers, storage, confirmation = told(archive)
    where = f"PACS@127.0.0.1:{archive.port}"
    assert (answers.ok, storage.ok, confirmation.ok) == (True, False, False)
    assert storage.message == (
        f"{where} does not take Segmentation Storage: let it, or leave 'seg' of `send` out; "
        "does not take Comprehensive 3D SR Storage or Comprehensive SR Storage or Enhanced SR Storage: "
        "let it, or leave 'sr' of `send` out"
    )
    assert "nothing can be confirmed" in confirmation.message


def test_an_archive_that_gets_something_simpler(tmp_path: Path) -> None:
    takes = {SegmentationStorage: PLAIN, ComprehensiveSRStorage: [ImplicitVRLittleEndian]}
    with ChoosyArchive(tmp_path, takes=takes, finds=True, commits=0x0124) as archive:
        _, storage, confirmation = told(archive, send=["seg", "sr"], seg="labelmap")
    where = f"PACS@127.0.0.1:{archive.port}"
    assert (storage.ok, confirmation.ok) == (True, True)
    assert storage.message == (
        f"{where} takes Segmentation Storage, Comprehensive SR Storage; "
        "no Label Map Segmentation Storage: Segmentation Storage is sent instead; "
        "no Comprehensive 3D SR Storage: Comprehensive SR Storage is sent instead"
    )
    assert confirmation.message == (
        f"{where} gives no storage commitment (N-ACTION status 0x0124 Refused: Not Authorised): "
        "C-FIND decides what it has"
    )


def test_an_archive_that_is_only_searched_or_confirms_nothing(tmp_path: Path) -> None:
    with ChoosyArchive(tmp_path) as archive:
        assert [check.ok for check in told(archive, confirm="query")] == [True, True, False]
        assert [check.ok for check in told(archive, confirm="none")] == [True, True]


def test_a_host_name_that_cannot_be_resolved_is_named_and_ends_nothing() -> None:
    pacs = DicomDestination(ae_title="PACS", host="pacs.hospital.invalid")
    (check,) = _destination("pacs", pacs)
    assert (check.ok, check.message) == (
        False,
        "PACS@pacs.hospital.invalid:104: the host name pacs.hospital.invalid cannot be resolved",
    )


def test_a_sender_that_is_asked_how_many_images_it_has(tmp_path: Path) -> None:
    with Orthanc(tmp_path / "orthanc") as orthanc, ChoosyArchive(tmp_path / "choosy") as silent:
        good, mute, unknown = (
            next(_caller(Settings(), ae_title, Caller(addresses=(HERE,), host=host, port=port)))
            for ae_title, host, port in (
                (Orthanc.AET, "127.0.0.1", orthanc.port),
                (silent.AET, "127.0.0.1", silent.port),
                ("CT1", "ct.hospital.invalid", 104),
            )
        )
    assert (good.name, good.ok) == ("sender TESTPACS", True)
    assert (mute.ok, "takes no C-FIND" in mute.message) == (False, True)
    assert not unknown.ok
    assert "the host name ct.hospital.invalid cannot be resolved; its studies are analysed" in unknown.message
    assert list(_caller(Settings(), "CT2", Caller(addresses=(HERE,), quiet_s=5))) == []
