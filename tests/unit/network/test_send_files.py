"""What can be known without a peer."""

from pathlib import Path

import pytest
from helpers import make_ct
from pydicom import dcmread
from pydicom.fileset import FileSet

from service.network.peer import DicomNode
from service.network.receive import _label
from service.network.send import StoreOutcome, dicom_files, send
from service.network.status import Verdict, verdict_of

NOBODY = DicomNode("nobody", "NOBODY", "127.0.0.1", 1, "THORACLE")


@pytest.mark.parametrize("status", [0x0000, 0x0111, 0xB000, 0xB006, 0xB007])
def test_success_duplicates_and_warnings_are_stored(status: int) -> None:
    assert verdict_of(status) is Verdict.STORED


@pytest.mark.parametrize("status", [0xA700, 0xA701, 0xA7FF, 0x0110, 0x0124, 0xC000, 0xCFFF])
def test_a_peer_that_is_busy_or_does_not_let_us_in_may_take_it_later(status: int) -> None:
    assert verdict_of(status) is Verdict.TRANSIENT


@pytest.mark.parametrize("status", [0x0117, 0x0122, 0xA800, 0xA900, 0xC122])
def test_a_refused_object_is_refused_for_good(status: int) -> None:
    assert verdict_of(status) is Verdict.PERMANENT


def test_files_that_cannot_be_sent_are_named_in_order(tmp_path: Path) -> None:
    text, gone = tmp_path / "text", tmp_path / "gone"
    text.write_text("no DICOM")
    seen: list[StoreOutcome] = []
    outcomes = send(NOBODY, [text, gone], seen.append)
    assert [(o.path, o.verdict) for o in outcomes] == [(text, Verdict.PERMANENT), (gone, Verdict.PERMANENT)]
    assert outcomes == seen
    assert [o.message for o in outcomes] == [
        "not a readable DICOM file (InvalidDicomError)",
        "not a readable DICOM file (FileNotFoundError)",
    ]


def test_meta_information_that_cannot_be_read_keeps_no_other_file_back(tmp_path: Path) -> None:
    (path,) = make_ct.write(make_ct.make(slices=1).datasets, tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\x02\x00\x10\x00UI", b"\x02\x00\x10\x00U\0", 1))
    (outcome,) = send(NOBODY, [path])
    assert (outcome.verdict, outcome.message) == (Verdict.PERMANENT, "not a readable DICOM file (NotImplementedError)")


def test_nothing_to_send_needs_no_peer() -> None:
    assert send(NOBODY, []) == []


def test_the_dicom_files_of_a_tree(tmp_path: Path) -> None:
    """By content, not by name; the DICOMDIR of a file-set describes instances and is none."""
    paths = make_ct.write(make_ct.make(slices=2).datasets, tmp_path / "in")
    for path in paths:
        dataset = dcmread(path)
        dataset.PatientID, dataset.StudyID, dataset.StudyDate, dataset.StudyTime = "1", "1", "20260301", "080000"
        dataset.SeriesNumber = 1
        dataset.save_as(path)
    files = FileSet()
    for path in paths:
        files.add(path)
    tree = tmp_path / "disc"
    files.write(tree)
    (tree / "LICENSE").write_text("CC BY 4.0" * 100)
    broken = tree / "broken.dcm"
    broken.write_bytes(bytes(128) + b"DICM")
    assert (tree / "DICOMDIR").exists()
    found = dicom_files(tree)
    assert found == sorted(found)
    assert broken in found, "sending it will say what is wrong with it"
    found.remove(broken)
    assert {dcmread(p).SOPInstanceUID for p in found} == {dcmread(p).SOPInstanceUID for p in paths}
    assert dicom_files(found[0]) == [found[0]]


@pytest.mark.parametrize(
    ("modality", "label"), [("CT", "CT"), ("RTSTRUCT", "RTSTRUCT"), ("", "OTHER"), ("Doe^J", "OTHER")]
)
def test_metric_labels_hold_code_strings_only(modality: str, label: str) -> None:
    assert _label(modality) == label


def test_a_disk_that_cannot_be_read_now_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("service.network.send.dcmread", broken)
    (outcome,) = send(DicomNode("nobody", "NOBODY", "127.0.0.1", 1, "US"), [tmp_path / "a.dcm"])
    assert (outcome.verdict, outcome.message) == (Verdict.TRANSIENT, "cannot be read (Input/output error)")
