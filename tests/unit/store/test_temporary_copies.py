"""What lies in TMPDIR beside our own copies, and what does not keep them from being removed."""

import os
import tempfile
import time
from pathlib import Path

import pytest

from service.store import temporary_copies as copies
from service.store.temporary_copies import remove_copies

LATER = time.time() + 7200


@pytest.fixture(autouse=True)
def tmpdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp"


def folder(tmpdir: Path, name: str) -> Path:
    made = tmpdir / f"thoracle-copies-{name}"
    made.mkdir()
    (made / "image.dcm").write_bytes(b"image")
    return made


def test_what_is_not_a_folder_of_ours_is_left_alone(tmpdir: Path, tmp_path: Path) -> None:
    elsewhere = folder(tmp_path, "elsewhere")
    (tmpdir / "thoracle-copies-a-file").write_bytes(b"")
    (tmpdir / "thoracle-copies-a-link").symlink_to(elsewhere)
    (tmpdir / "thoracle-copies-nowhere").symlink_to(tmp_path / "nothing")
    ours = folder(tmpdir, "ours")
    remove_copies(3600.0, LATER)
    assert not ours.exists()
    assert list(elsewhere.iterdir())
    assert len(list(tmpdir.iterdir())) == 3


def test_another_users_folder_is_left_alone(tmpdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = folder(tmpdir, "theirs")
    monkeypatch.setattr(os, "getuid", lambda: theirs.stat().st_uid + 1)
    remove_copies(3600.0, LATER)
    assert theirs.is_dir()


def test_a_folder_that_cannot_be_removed_does_not_hold_the_others(
    tmpdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [folder(tmpdir, name) for name in "ab"]
    remove, refused = copies.shutil.rmtree, []

    def refuse_first(path: Path) -> None:
        if not refused:
            refused.append(path)
            raise PermissionError(13, "Permission denied", str(path))
        remove(path)

    monkeypatch.setattr(copies.shutil, "rmtree", refuse_first)
    remove_copies(3600.0, LATER)
    assert [one.exists() for one in made].count(True) == 1
