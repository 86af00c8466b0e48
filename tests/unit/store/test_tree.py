"""Scanning: every DICOM file is found by content, everything else is named."""

from pathlib import Path
from unittest.mock import ANY

import make_ct
import pytest

from service.store.tree import headers, scan


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
        "c/0000.dcm": "no Study or Series Instance UID",
    }
    assert ignored["damaged.dcm"].startswith("damaged DICOM: ")
    names = sorted([path.relative_to(folder).as_posix() for path in series.paths] for series in found)
    assert names == [["a/deep/0000.dcm", "a/deep/0001.dcm", "a/deep/0002.dcm"], ["b/0000", "b/0001"]]
    assert len({series.study_uid for series in found}) == 1
    assert [series.series_uid for series in found] == sorted(series.series_uid for series in found)


def test_headers_have_no_pixels(folder: Path) -> None:
    (series,) = scan([folder / "b"])
    read = headers(series)
    assert [str(h.SeriesInstanceUID) for h in read] == [series.series_uid] * 2
    assert all("PixelData" not in h and h.file_meta.TransferSyntaxUID for h in read)


def test_a_file_named_twice_counts_once(folder: Path) -> None:
    (series,) = scan([folder / "b", folder / "b" / "0000"])
    assert len(series.paths) == 2


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        scan([tmp_path / "nowhere"])
