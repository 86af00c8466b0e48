"""`thoracle parity` says what is wrong, and its exit code does."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers import evidence_samples, make_ct, tiny_models
from onnx import numpy_helper
from rich.console import Console
from typer.testing import CliRunner

from service.cli import app
from service.cli.difference_table import difference_table
from service.imaging.difference import difference


def black() -> bytes:
    """The tiny network for lungs and opacities, which finds neither anywhere."""
    model = onnx.load_from_string(tiny_models.lung_opacity())
    (where,) = [constant for constant in model.graph.initializer if constant.name == "where"]
    where.CopyFrom(numpy_helper.from_array(np.zeros_like(numpy_helper.to_array(where)), "where"))
    return bytes(model.SerializeToString())


@pytest.mark.slow
def test_a_black_network_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = tiny_models.repository(tmp_path / "sound")
    other = tiny_models.repository(tmp_path / "other")
    tiny_models.serve(other, black(), tiny_models.LUNG_OPACITY)
    make_ct.write(make_ct.make().datasets, tmp_path / "ct")
    monkeypatch.setenv("THORACLE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("THORACLE_INFERENCE__REPOSITORY", str(sound))
    asked = ["parity", str(tmp_path / "ct"), "--candidate", "onnx", "--repository", str(other)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 1
    assert "wrong lung-opacity, lung, is all black: 0 everywhere" in done.stdout
    assert "wrong the CT is refused: NO_LUNG" in done.stdout


def test_a_folder_without_a_ct_is_a_failure(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["parity", str(tmp_path)])
    assert done.exit_code == 1
    assert "There is no DICOM series in" in done.stderr


def test_without_a_folder_the_ct_is_that_on_which_models_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THORACLE_INFERENCE__TRIAL_CT", str(tmp_path))
    done = CliRunner().invoke(app, ["parity"])
    assert (done.exit_code, f"There is no DICOM series in {tmp_path}." in done.stderr) == (1, True)
    monkeypatch.setattr("service.cli.parity.trial_ct", lambda _settings: None)
    done = CliRunner().invoke(app, ["parity"])
    assert (done.exit_code, "name a folder with a chest CT" in done.stderr) == (1, True)


def test_the_table_holds_both_sides() -> None:
    ct, found = evidence_samples.phantom(findings=make_ct.FINDINGS)
    lobes, findings = evidence_samples.masks(found)
    nothing = evidence_samples.analysis_of(ct, lobes, np.zeros_like(findings))
    console = Console(width=80, record=True)
    console.print(difference_table(difference(found, nothing), "version 1", "models [2]"))
    lines = {line.split()[0]: line.split()[1:] for line in console.export_text().splitlines() if line.strip()}
    assert lines["version"] == ["1", "models", "[2]"], "a folder's name is no markup"
    total = found.group("LUNG_TOTAL")
    assert lines["lobes"][0] == lines["RUL"][0] == "1.0000"
    assert lines["findings"] == ["0.0000", f"{total['opacity_ml']:.1f}", "0.0"]
    assert found.headline.value
    assert lines["CT"] == ["severity", "score,", "Pan", "2020,", "0-25", f"{found.headline.value}", "0"]
    assert lines["RLL.score"] == [f"{found.group('RLL')['score']:g}", "0"] != ["0", "0"]
    assert lines["opacity_percent"] == [f"{total['opacity_percent']:.4g}", "0"]
