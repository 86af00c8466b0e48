"""`thoracle evaluate` as a researcher meets it: files, tables, exit codes."""

import csv
import json
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from helpers import evidence_samples, make_ct
from helpers.label_files import volume, write_nifti
from pydicom import dcmread
from surface_distance import metrics
from typer.testing import CliRunner

from service.cli import app

DEMO_CT = Path(__file__).parents[3] / "demo" / "ct"

pytestmark = pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # of surface-distance


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


def document(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text(), parse_constant=pytest.fail)
    return found


def rows(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["case"], row["label"]): row for row in document(folder)["cases"]}


def block(*slices: slice, value: int = 1, shape: tuple[int, int, int] = (10, 20, 20)) -> np.ndarray:
    array = np.zeros(shape, np.uint8)
    array[slices] = value
    return array


SMALL = block(slice(2, 8), slice(3, 11), slice(3, 13))
LARGE = block(slice(2, 8), slice(3, 13), slice(3, 13))


def write(folder: Path, **arrays: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        write_nifti(volume(array), folder / f"{name}.nii.gz")
    return folder


def test_many_cases_in_two_folders(tmp_path: Path) -> None:
    nothing = np.zeros_like(SMALL)
    pred = write(tmp_path / "pred", a=SMALL, b=LARGE, c=nothing, d=LARGE, e=nothing, other=SMALL)
    truth = write(tmp_path / "truth", a=LARGE, b=LARGE, c=SMALL, d=nothing, e=nothing)
    code, output = run(pred, truth, "--out", tmp_path / "out", "--labels", "1=lung")
    assert code == 0
    assert "left out other: there is no TRUTH" in output and "5 cases, 1 labels" in output
    assert "lung: both empty in 1, only PRED empty in 1, only TRUTH empty in 1" in output
    found = rows(tmp_path / "out")
    assert found["a", "lung"]["dice"] == pytest.approx(2 * 480 / (480 + 600), abs=1e-6)
    assert found["a", "lung"]["difference_ml"] == pytest.approx(-120 * 2 / 1000)
    assert found["a", "lung"]["h95_mm"] == pytest.approx(2.0)
    assert [found[case, "lung"]["empty"] for case in "abcde"] == [None, None, "pred", "truth", "both"]
    assert [found[case, "lung"]["dice"] for case in "bcde"] == [1.0, 0.0, 0.0, None]
    summary = document(tmp_path / "out")["summary"]["lung"]
    assert summary["metrics"]["dice"]["n"] == 4 and summary["metrics"]["h95_mm"]["n"] == 2
    low, high = summary["metrics"]["dice"]["ci95"]
    assert low < summary["metrics"]["dice"]["mean"] < high
    assert summary["volume"]["bias_ml"] == pytest.approx((-0.24 - 0.96 + 1.2) / 5, abs=1e-6)
    assert "Dice Jaccard Dice mm path mm" in output
    for metric, digits in (("dice", 3), ("jaccard", 3), ("surface_dice", 3), ("added_path_length_mm", 0)):
        assert f" {summary['metrics'][metric]['mean']:.{digits}f} " in output, metric
    with (tmp_path / "out" / "metrics.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["case"] for line in lines] == list("abcde") and lines[4]["dice"] == ""
    assert (tmp_path / "out" / "bland-altman.svg").read_text().count("<circle") == 5


@pytest.mark.slow
def test_the_same_again_gives_the_same_bytes(tmp_path: Path) -> None:
    shrinking = {name: block(slice(2, 8), slice(3, 4 + k), slice(3, 13)) for k, name in enumerate("abcdefgh")}
    pred, truth = write(tmp_path / "p", **shrinking), write(tmp_path / "t", **dict.fromkeys(shrinking, LARGE))
    for out in ("one", "two"):
        assert run(pred, truth, "-o", tmp_path / out)[0] == 0
    for name in ("metrics.json", "metrics.csv", "bland-altman.svg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert run(pred, truth, "-o", tmp_path / "seeded", "--seed", 7)[0] == 0
    assert document(tmp_path / "seeded")["cases"] == document(tmp_path / "one")["cases"]
    ci = [document(tmp_path / out)["summary"]["1"]["metrics"]["dice"]["ci95"] for out in ("one", "seeded")]
    assert ci[0] != ci[1]


def test_labels_are_merged_and_named_on_each_side(tmp_path: Path) -> None:
    """Truth: 1 healthy lung, 2 ground glass, 3 consolidation; prediction: 1 lung, 5 opacity."""
    truth, pred = SMALL.copy(), SMALL.copy()
    truth[3:5, 4:8, 4:8], truth[5:7, 4:8, 4:8] = 2, 3
    pred[3:7, 4:8, 4:8] = 5
    write(tmp_path, truth=truth, pred=pred)
    files = tmp_path / "pred.nii.gz", tmp_path / "truth.nii.gz"
    labels = "--labels", "1+2+3=lung,2+3=opacity,3=consolidation"
    code, _ = run(*files, "-o", tmp_path, *labels, "--pred-labels", "*=lung, 5=opacity, 7=consolidation")
    assert code == 0
    found = rows(tmp_path)
    assert found["truth", "lung"]["dice"] == found["truth", "opacity"]["dice"] == 1
    assert found["truth", "consolidation"]["empty"] == "pred"
    assert found["truth", "opacity"]["truth_ml"] == pytest.approx(64 * 2 / 1000)
    code, output = run(*files, "-o", tmp_path, *labels)
    assert code == 0 and rows(tmp_path)["truth", "opacity"]["empty"] == "pred"
    assert "no PRED file has the label 'opacity': counted as empty" in output


def test_without_labels_equal_values_are_compared_in_every_case(tmp_path: Path) -> None:
    pred = write(tmp_path / "p", a=SMALL, b=2 * SMALL)
    truth = write(tmp_path / "t", a=SMALL, b=2 * LARGE)
    assert run(pred, truth, "-o", tmp_path / "out")[0] == 0
    found = rows(tmp_path / "out")
    assert {key: row["empty"] for key, row in found.items()} == {
        ("a", "1"): None,
        ("a", "2"): "both",
        ("b", "1"): "both",
        ("b", "2"): None,
    }


def test_the_tolerance_is_that_of_the_surface_dice(tmp_path: Path) -> None:
    write(tmp_path, pred=np.roll(SMALL, 1, axis=2), truth=SMALL)
    found = []
    for tolerance in (0.9, 1.0):
        run(tmp_path / "pred.nii.gz", tmp_path / "truth.nii.gz", "-o", tmp_path, "--tolerance", tolerance)
        found.append(rows(tmp_path)["truth", "1"]["surface_dice"])
    assert found[0] < 0.8 and found[1] == 1


def test_other_voxels_are_an_error_until_resampling_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, truth=LARGE)
    coarse = volume(SMALL[:, ::2, ::2], (2.0, 2.0, 2.0))
    write_nifti(coarse, tmp_path / "pred.nii.gz")
    arguments = tmp_path / "pred.nii.gz", tmp_path / "truth.nii.gz", "-o", tmp_path / "out"
    code, output = run(*arguments)
    assert code == 1 and not (tmp_path / "out").exists()
    assert "not measured truth: GridMismatch: prediction and truth do not lie on the same voxels" in output
    assert "10 x 10 x 10 voxels of 2 x 2 x 2 mm" in output and "20 x 20 x 10 voxels of 1 x 1 x 2 mm" in output
    code, output = run(*arguments, "--resample")
    assert code == 0 and "resampled onto the truth's grid by nearest neighbour" in output
    assert "resampled" in document(tmp_path / "out")["notes"]["truth"][0]
    assert 0.8 < rows(tmp_path / "out")["truth", "1"]["dice"] < 1


def test_one_bad_case_is_named_and_the_others_are_measured(tmp_path: Path) -> None:
    pred = write(tmp_path / "p", a=SMALL, b=SMALL[:5], c=SMALL)
    truth = write(tmp_path / "t", a=SMALL, b=SMALL, c=SMALL)
    (pred / "c.nii.gz").write_bytes(b"damaged")
    code, output = run(pred, truth, "-o", tmp_path / "out")
    assert code == 1
    assert "not measured b: GridMismatch" in output and "not measured c: NotALabelMap" in output
    found = document(tmp_path / "out")
    assert set(found["failed"]) == {"b", "c"} and found["summary"]["1"]["cases"] == 1


def test_a_case_without_prediction_is_nobody_s_guess(tmp_path: Path) -> None:
    pred, truth = write(tmp_path / "p", a=SMALL), write(tmp_path / "t", a=SMALL, b=SMALL)
    arguments = pred, truth, "-o", tmp_path / "out"
    code, output = run(*arguments)
    assert code == 2 and "There is no PRED for: b" in output and "--missing empty" in output
    assert run(*arguments, "--missing", "empty")[0] == 0
    assert document(tmp_path / "out")["summary"]["1"]["metrics"]["dice"]["mean"] == 0.5
    assert document(tmp_path / "out")["without_prediction"] == ["b"]
    assert (tmp_path / "out" / "bland-altman.svg").exists()
    assert run(*arguments, "--missing", "skip")[0] == 0
    assert document(tmp_path / "out")["summary"]["1"]["metrics"]["dice"]["mean"] == 1.0
    assert not (tmp_path / "out" / "bland-altman.svg").exists(), "of the run before"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere", "t"], "neither a file nor a folder"),
        (["t", "t", "--labels", "lung"], "'lung' is not of the form LABEL=NAME"),
        (["t", "t", "--pred-labels", "1=lung"], "--pred-labels needs --labels"),
        (
            ["t", "t", "--labels", "1=lung", "--pred-labels", "1=lungs"],
            "--labels names lung; --pred-labels names lungs",
        ),
        (["t", "t", "--tolerance", "-1"], "--tolerance"),
        (["t", "t", "--missing", "zero"], "--missing"),
    ],
)
def test_wrong_usage_exits_2_and_says_how_it_is_right(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "t", a=SMALL)
    monkeypatch.chdir(tmp_path)
    code, output = run(*arguments, "-o", "out")
    assert code == 2 and says in output
    assert not Path("out").exists()


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, hd.Volume]:
    """Our Segmentations of a phantom, and its finding labels."""
    folder = tmp_path_factory.mktemp("ours")
    ct, analysis = evidence_samples.phantom(orientation="FFS", findings=make_ct.FINDINGS)
    for item in evidence_samples.encoded(ct, analysis, evidence_samples.context(ct)):
        (folder / item.file_name).write_bytes(item.content)
    return folder, ct.volume.with_array(analysis.label_map("findings").labels)


@pytest.mark.slow
def test_our_findings_against_nifti_need_a_word_on_what_is_what(ours: tuple[Path, hd.Volume], tmp_path: Path) -> None:
    folder, findings = ours
    truth = write_nifti(findings.with_array(np.where(findings.array, findings.array + 1, 0)), tmp_path / "t.nii.gz")
    arguments = folder / "findings.seg.dcm", truth, "-o", tmp_path
    code, output = run(*arguments)
    assert code == 2 and "say with --labels and --pred-labels" in output and "'GROUND_GLASS'" in output
    code, _ = run(*arguments, "--labels", "2=ggo,2+3=any", "--pred-labels", "ground_glass=ggo,*=any")
    assert code == 0
    found = rows(tmp_path)
    assert found["t", "ggo"]["dice"] == found["t", "any"]["dice"] == 1
    assert 0 < found["t", "ggo"]["truth_ml"] < found["t", "any"]["truth_ml"]


@pytest.mark.slow
def test_segments_are_matched_by_their_label_not_by_their_number(ours: tuple[Path, hd.Volume], tmp_path: Path) -> None:
    """A CT without ground glass has high opacity as segment 1."""
    folder, _ = ours
    scan = make_ct.make(orientation="FFS", findings=tuple(b for b in make_ct.FINDINGS if b.finding == 2))
    ct, analysis = evidence_samples.from_phantom(scan)
    made = evidence_samples.encoded(ct, analysis, evidence_samples.context(ct))
    (item,) = [one for one in made if one.file_name == "findings.seg.dcm"]
    (tmp_path / "few.seg.dcm").write_bytes(item.content)
    assert len(dcmread(tmp_path / "few.seg.dcm").SegmentSequence) == 1
    assert run(tmp_path / "few.seg.dcm", folder / "findings.seg.dcm", "-o", tmp_path)[0] == 0
    found = rows(tmp_path)
    assert found["findings", "Ground-glass opacity"]["empty"] == "pred"
    assert found["findings", "High opacity"]["dice"] > 0.99


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_analysis_against_itself_and_against_a_shifted_copy(tmp_path: Path) -> None:
    """The demo CT through the product; the reference measures the same arrays."""
    analysed = CliRunner().invoke(app, ["analyse", str(DEMO_CT), "--out", str(tmp_path / "results")])
    assert analysed.exit_code == 0, analysed.output
    said = " ".join(analysed.output.split())
    assert "CT severity score, Pan 2020, 0-25: 2 of 25, involvement: mild; 3 without noise floor." in said
    seg = tmp_path / "results" / "lobes.seg.dcm"
    assert run(seg, seg, "-o", tmp_path / "same", "--labels", "RML=RML,*=lungs")[0] == 0
    same = rows(tmp_path / "same")
    assert len(same) == 2
    assert {(r["dice"], r["jaccard"], r["surface_dice"], r["h95_mm"]) for r in same.values()} == {(1, 1, 1, 0)}
    lobes = hd.seg.Segmentation.from_dataset(dcmread(seg)).get_volume(combine_segments=True)
    shifted = np.roll(lobes.array, (1, 0, 4), axis=(0, 1, 2))
    truth = write_nifti(lobes.with_array(shifted.astype(np.uint8)), tmp_path / "shifted.nii.gz", "RAS")
    code, _ = run(seg, truth, "-o", tmp_path / "moved", "--labels", "2=RML,*=lungs", "--pred-labels", "RML=RML,*=lungs")
    assert code == 0
    assert rows(tmp_path / "moved")["shifted", "lungs"]["dice"] == pytest.approx(
        metrics.compute_dice_coefficient(shifted > 0, lobes.array > 0), abs=1e-6
    )
    found, pred, true = rows(tmp_path / "moved")["shifted", "RML"], lobes.array == 2, shifted == 2
    reference = metrics.compute_surface_distances(true, pred, lobes.spacing)
    assert found["h95_mm"] == pytest.approx(metrics.compute_robust_hausdorff(reference, 95), abs=1e-5)
    expected = metrics.compute_surface_dice_at_tolerance(reference, 1.18)
    assert found["surface_dice"] == pytest.approx(expected, abs=1e-5) and 0.2 < expected < 0.9
    assert found["dice"] == pytest.approx(metrics.compute_dice_coefficient(true, pred), abs=1e-6)
    assert found["truth_ml"] == pytest.approx(np.count_nonzero(true) * lobes.voxel_volume / 1000, abs=1e-3)
