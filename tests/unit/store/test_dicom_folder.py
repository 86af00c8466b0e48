"""Scanning: every DICOM file is found by content, everything else is named."""

from pathlib import Path
from unittest.mock import ANY

import pytest
from helpers import make_ct
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import HangingProtocolStorage

from service.store.dicom_folder import DAMAGED, headers, scan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two series of one study, one of them without file extensions, among other files."""
    first = make_ct.make(slices=3, study="one").datasets
    second = make_ct.make(slices=2, study="one", seed=1).datasets
    make_ct.write(first, tmp_path / "a" / "deep")
    for path in make_ct.write(second, tmp_path / "b"):
        path.rename(path.with_suffix(""))
    (tmp_path / "LICENSE").write_text("text " * 100)
    (tmp_path / "empty").touch()
    (tmp_path / "DICOMDIR").write_bytes((tmp_path / "a" / "deep" / "0000.dcm").read_bytes())
    whole = (tmp_path / "a" / "deep" / "0001.dcm").read_bytes()
    (tmp_path / "damaged.dcm").write_bytes(whole.replace(b"\x20\x00\x0d\x00UI", b"\x20\x00\x0d\x00UJ"))
    del first[0].SeriesInstanceUID
    make_ct.write(first[:1], tmp_path / "c")
    return tmp_path


def test_groups_by_series_and_names_the_rest(folder: Path) -> None:
    ignored: dict[str, str] = {}
    found = scan([folder], lambda path, why: ignored.update({path.relative_to(folder).as_posix(): why}))
    assert ignored == {
        "LICENSE": "not DICOM",
        "empty": "not DICOM",
        "DICOMDIR": "DICOMDIR",
        "damaged.dcm": ANY,
        "c/0000.dcm": "damaged DICOM: no Study or Series Instance UID",
    }
    assert ignored["damaged.dcm"].startswith("damaged DICOM: ")
    names = sorted([path.relative_to(folder).as_posix() for path in series.paths] for series in found)
    assert names == [["a/deep/0000.dcm", "a/deep/0001.dcm", "a/deep/0002.dcm"], ["b/0000", "b/0001"]]
    assert len({series.study_uid for series in found}) == 1
    assert [series.series_uid for series in found] == sorted(series.series_uid for series in found)


@pytest.mark.parametrize("kept", [0, 1, 127, 128, 131, 132, 140, 300, 900])
def test_an_image_that_is_cut_off_is_damaged_and_not_something_else(tmp_path: Path, kept: int) -> None:
    """It may be the last slice: then no slice is missing in the middle, and nothing else tells of it."""
    paths = make_ct.write(make_ct.make(slices=2).datasets, tmp_path)
    paths[1].write_bytes(paths[1].read_bytes()[:kept])
    ignored: dict[Path, str] = {}
    (series,) = scan([tmp_path], ignored.__setitem__)
    assert series.paths == (paths[0],) and list(ignored) == [paths[1]]
    assert ignored[paths[1]].startswith(DAMAGED)


def test_what_holds_no_image_is_not_damaged_without_a_study(tmp_path: Path) -> None:
    """A hanging protocol has no study (PS3.3 A.44)."""
    (dataset,) = make_ct.make(slices=1).datasets
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = HangingProtocolStorage
    del dataset.StudyInstanceUID
    make_ct.write([dataset], tmp_path)
    ignored: dict[Path, str] = {}
    assert scan([tmp_path], ignored.__setitem__) == []
    assert list(ignored.values()) == ["no Study or Series Instance UID"]


def test_headers_have_no_pixels(folder: Path) -> None:
    (series,) = scan([folder / "b"])
    read = headers(series)
    assert [str(h.SeriesInstanceUID) for h in read] == [series.series_uid] * 2
    assert all("PixelData" not in h and h.file_meta.TransferSyntaxUID for h in read)


def test_a_file_named_twice_counts_once(folder: Path) -> None:
    (series,) = scan([folder / "b", folder / "b" / "0000"])
    assert len(series.paths) == 2


TOO_DEEP = ("damaged DICOM: RecursionError", "damaged DICOM: OSError")
"""In which of its functions pydicom comes to the limit of Python, and so what it raises, hangs on who called it."""


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        scan([tmp_path / "nowhere"])


def test_a_file_that_cannot_be_parsed_or_read_is_left_out_by_name(tmp_path: Path) -> None:
    """Sequences nested 500 deep, and a file whose disk fails."""
    paths = make_ct.write(make_ct.make(slices=3).datasets, tmp_path)
    content = paths[0].read_bytes()
    start = b"\x08\x00\x01\x00SQ\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    at = content.index(b"\x08\x00")
    paths[0].write_bytes(content[:at] + start * 500 + end * 500 + content[at:])
    paths[1].unlink()
    paths[1].symlink_to("/proc/self/mem")  # reading it at 0 is an I/O error
    ignored: dict[str, str] = {}
    (series,) = scan([tmp_path], lambda path, why: ignored.update({path.name: why}))
    assert ignored[paths[0].name] in TOO_DEEP
    assert ignored[paths[1].name] == "cannot be read: Input/output error"
    assert len(ignored) == 2
    assert series.paths == (paths[2],)


def test_a_file_that_cannot_be_parsed_does_not_end_the_scan(folder: Path) -> None:
    """Neither items nested deeper than Python can follow, nor a private element of a wrong length."""
    whole = (folder / "a" / "deep" / "0001.dcm").read_bytes()
    pixels = whole.index(b"\xe0\x7f\x10\x00OW")
    sequence = b"\x40\x00\x75\x02SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    (folder / "nested.dcm").write_bytes(whole[:pixels] + sequence * 2000 + whole[pixels:])
    dataset = dcmread(folder / "a" / "deep" / "0000.dcm")
    dataset.add_new(0x01F10010, "LO", "ELSCINT1")
    dataset._dict[Tag(0x01F11026)] = RawDataElement(Tag(0x01F11026), "FD", 4, b"0.15", 0, False, True)
    dataset.save_as(folder / "a" / "deep" / "0000.dcm")
    ignored: dict[str, str] = {}
    found = scan([folder], lambda path, why: ignored.update({path.name: why}))
    assert ignored["nested.dcm"] in TOO_DEEP
    assert sorted(len(series.paths) for series in found) == [2, 3]


def test_meta_information_that_cannot_be_read_does_not_end_the_scan(folder: Path, tmp_path: Path) -> None:
    """A file that names no study, and whose SOP class has a value representation that does not exist."""
    dataset = make_ct.make(slices=1).datasets[0]
    del dataset.StudyInstanceUID
    (path,) = make_ct.write([dataset], tmp_path / "one")
    path.write_bytes(path.read_bytes().replace(b"\x02\x00\x02\x00UI", b"\x02\x00\x02\x00U\0", 1))
    left_out: dict[Path, str] = {}
    assert scan([path.parent, folder], left_out.__setitem__), "the other files are read"
    assert left_out[path] == "damaged DICOM: NotImplementedError"
