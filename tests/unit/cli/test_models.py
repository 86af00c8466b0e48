"""`thoracle models` as a user meets it: from the shipped models to better ones and back, without a network."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_models
from typer.testing import CliRunner

from models.lung_opacity.spec import SPEC as LUNG_OPACITY
from service.cli import app
from service.errors import Flag
from service.inference.repository import embed

ROOT = Path(__file__).resolve().parents[3]
DEMO_CT, SHIPPED = ROOT / "demo" / "ct", ROOT / "triton_repo"


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data directory, and a model file with its description beside it."""
    monkeypatch.setenv("THORACLE_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "lungs.onnx").write_bytes(tiny_models.lungs())
    (tmp_path / "lungs.toml").write_text(tiny_models.toml(tiny_models.LUNGS))
    (tmp_path / "lobes.onnx").write_bytes(tiny_models.lobes())
    (tmp_path / "lobes.toml").write_text(tiny_models.toml(tiny_models.LOBES))
    return tmp_path


@pytest.mark.timeout(900)
def test_better_models_come_are_used_and_go(site: Path) -> None:
    assert "active lobes version 1, released with Thoracle" in run("models", "list")[1]
    code, output = run("models", "add", site / "lungs.onnx", "--spec", site / "lungs.toml")
    assert code == 0, output
    assert f"lungs.onnx: sha256 {hashlib.sha256(tiny_models.lungs()).hexdigest()}" in output
    assert "installed lungs version 1" in output
    assert "made from the shipped models" in output
    code, output = run("models", "add", site / "lobes.onnx", "--spec", site / "lobes.toml")
    assert code == 0, output
    assert "installed lobes version 2" in output
    assert "made from the shipped" not in output

    listed = run("models", "list")[1]
    assert f"model repository {site / 'data' / 'models'}" in listed
    assert "older lobes version 1" in listed
    assert "active lobes version 2, from tests; lobes.onnx, SHA-256" in listed
    assert "ok model lungs: version 1" in run("doctor")[1]

    assert run("analyse", DEMO_CT, "--out", site / "out")[0] == 0
    result = json.loads((site / "out/result.json").read_text())
    assert [(m["name"], m["version"]) for m in result["models"]] == [
        ("lung-opacity", LUNG_OPACITY.version),
        ("lungs", "1"),
        ("lobes", "2"),
    ]
    assert all(m["sha256"] in listed for m in result["models"])
    assert "UNMEASURED_MODEL" in result["flags"] and Flag.UNMEASURED_MODEL.sentence in result["warnings"]
    assert 4000 < result["lungs"]["total"]["volume_ml"] < 5800
    assert all(lobe["volume_ml"] > 300 for lobe in result["lobes"].values())

    assert "lobes: version 1 is active" in run("models", "remove", "lobes")[1]
    assert "lungs: none is left" in run("models", "remove", "lungs")[1]
    assert run("models", "remove", "lobes")[0] == 1
    assert "none lungs" in run("models", "list")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.onnx"], "nowhere.onnx cannot be read: No such file"),
        (["{site}/lungs.onnx"], "no spec in {site}/lungs.onnx; describe it with --spec"),
        (["{site}/lungs.onnx", "--spec", "{site}/lobes.toml"], "has tensors"),
        (["{site}/lungs.onnx", "--spec", "{site}/lungs.onnx"], "is not TOML"),
        (["{site}/lungs.toml", "--spec", "{site}/lungs.toml"], "This is no ONNX file"),
        (["{site}/lungs.onnx", "--spec", "{site}/lungs.toml", "--sha256", "0" * 64], "is not the file you named"),
        (["{site}/lungs.onnx", "--sha256", "0", "--sha256", "1"], "There are 2 digests for 1 files"),
        (["{site}/lungs.onnx", "--weights", "{site}/a.pth"], "--weights and --ct belong to lungmask"),
        (["lungmask", "--spec", "{site}/lungs.toml"], "--spec belongs to FILE.onnx"),
    ],
)
def test_nothing_is_installed_unless_everything_is_right(site: Path, arguments: list[str], said: str) -> None:
    code, output = run("models", "add", *(a.format(site=site) for a in arguments))
    assert code in (1, 2)
    assert said.format(site=site) in output
    assert not (site / "data").exists()


def test_a_file_that_was_converted_elsewhere_needs_no_description(site: Path) -> None:
    elsewhere = site / "model.onnx"
    elsewhere.write_bytes(embed(tiny_models.lobes(), tiny_models.numbered(tiny_models.LOBES, 2)))
    code, output = run("models", "add", elsewhere)
    assert code == 0, output
    assert (site / "data/models/lobes/2/model.onnx").read_bytes() == elsewhere.read_bytes()


def test_the_shipped_models_are_never_changed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THORACLE_INFERENCE__REPOSITORY", str(SHIPPED))
    for command in (["add", site / "lungs.onnx", "--spec", site / "lungs.toml"], ["init"], ["remove", "lobes"]):
        code, output = run("models", *command)
        assert code == 1
        assert "holds the shipped models, which an upgrade replaces" in output


def test_a_repository_of_ones_own_is_made_where_the_configuration_says(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THORACLE_INFERENCE__REPOSITORY", str(site / "own"))
    assert "cannot be read" in run("models", "list")[1]
    code, output = run("models", "init")
    assert (code, (site / "own/lobes/1/model.onnx").is_file()) == (0, True), output
    code, output = run("models", "init")
    assert code == 1
    assert "is a model repository already" in output


def test_a_shipped_model_that_is_not_in_the_repository_is_named(site: Path) -> None:
    """As after an upgrade."""
    run("models", "init")
    sums = site / "data/models/SHA256SUMS"
    lines = sums.read_text().splitlines(keepends=True)
    sums.write_text("".join(line for line in lines if "lobes" not in line))
    for path in sorted((site / "data/models/lobes").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (site / "data/models/lobes").rmdir()
    shipped = SHIPPED / "lobes/1/model.onnx"
    assert (
        f"not here lobes/1/model.onnx, shipped with this version: thoracle models add {shipped}"
        in run("models", "list")[1]
    )
    assert run("models", "add", shipped)[0] == 0
    assert "released with Thoracle" in run("models", "list")[1]
    assert "not here" not in run("models", "list")[1]


def test_without_torch_the_extra_is_named(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] in ("converters", "torch", "lungmask")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    code, output = run("models", "add", "lungmask", "--weights", site / "lungs.onnx")
    assert code == 1
    assert "pip install 'thoracle[lungmask]'" in output
    assert not (site / "data").exists()


def test_the_help_teaches() -> None:
    for command in ([], ["list"], ["init"], ["add"], ["remove"]):
        code, output = run("models", *command, "--help")
        assert code == 0
        assert "Example" in output


def test_the_command_line_loads_neither_torch_nor_the_converters() -> None:
    loaded = "import sys, service.cli; print({'torch', 'lungmask', 'converters', 'onnx'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True).stdout == "set()\n"
