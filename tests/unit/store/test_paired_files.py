"""Which prediction belongs to which truth."""

from pathlib import Path

import pytest

from service.store.paired_files import NoCases, pair


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_two_files_are_one_case_named_by_the_truth(tmp_path: Path) -> None:
    touch(tmp_path, "found.nii.gz", "P001.seg.dcm")
    pairs = pair(str(tmp_path / "found.nii.gz"), str(tmp_path / "P001.seg.dcm"))
    assert pairs.cases == {"P001": (tmp_path / "found.nii.gz", tmp_path / "P001.seg.dcm")}


def test_files_of_two_folders_are_paired_by_name_without_ending(tmp_path: Path) -> None:
    pred = touch(tmp_path / "pred", "b.nii", "a.nii.gz", "extra.nii", "notes.txt", "sub/a.nii")
    truth = touch(tmp_path / "truth", "a.nii.gz", "b.NII.GZ", "lost.nii.gz")
    pairs = pair(str(pred), str(truth))
    assert list(pairs.cases) == ["a", "b", "lost"]
    assert pairs.cases["b"] == (pred / "b.nii", truth / "b.NII.GZ")
    assert (pairs.missing, pairs.extra) == (("lost",), ("extra",))


def test_the_star_is_the_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "results/P1/findings.seg.dcm", "results/P2/lobes.seg.dcm", "labels/P1_label.nii.gz")
    touch(tmp_path, "labels/P1.nii.gz", "labels/P2_label.nii.gz")
    monkeypatch.chdir(tmp_path)
    for start in ("", "./", f"{tmp_path}/"):
        pairs = pair(f"{start}results/*/findings.seg.dcm", f"{start}labels/*_label.nii.gz")
        assert list(pairs.cases) == ["P1", "P2"] and pairs.missing == ("P2",)
    mixed = pair("results/*/findings.seg.dcm", "labels")
    assert list(mixed.cases) == ["P1", "P1_label", "P2_label"]


@pytest.mark.parametrize(
    ("pred", "truth", "says"),
    [
        ("a.nii", "nowhere", "must both be files, or both stand for many cases"),
        ("a.nii", "truth", "must both be files"),
        ("nowhere", "truth", "nowhere is neither a file nor a folder nor a pattern"),
        ("pred/*/*.nii", "truth", "a pattern with one \\*"),
        ("pred/*.nrrd", "truth", "no file matches pred/\\*.nrrd"),
        ("empty", "truth", "there are no NIfTI files and no DICOM Segmentations in empty"),
        ("pred", "truth", "no case is in both: PRED has p, TRUTH has t"),
        ("twice", "truth", "several files for the case 't'"),
    ],
)
def test_what_cannot_be_paired_is_said_in_words(
    pred: str, truth: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "a.nii", "pred/p.nii", "truth/t.nii", "empty/notes.txt", "twice/t.nii", "twice/t.nii.gz")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoCases, match=says):
        pair(pred, truth)
