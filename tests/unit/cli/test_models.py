"""`thoracle models` as a user meets it: from the shipped models to better ones and back, without a network."""

import hashlib
import json
import re
import subprocess
import sys
from getpass import getuser
from pathlib import Path
from socket import gethostname

import pytest
from helpers import make_ct, tiny_models
from typer.testing import CliRunner

from models.lung_opacity.spec import SPEC as LUNG_OPACITY
from models.lung_shape.spec import SPEC as LUNG_SHAPE
from models.opacity_context.spec import SPEC as OPACITY_CONTEXT
from service.cli import app
from service.domain.anatomy import Lobe
from service.domain.flags import UNMEASURED_MODEL
from service.inference.repository import embed

pytestmark = pytest.mark.slow

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
    make_ct.write(make_ct.make(slices=44, spacing_mm=5.0).datasets, tmp_path / "ct")
    monkeypatch.setenv("THORACLE_INFERENCE__TRIAL_CT", str(tmp_path / "ct"))
    return tmp_path


@pytest.mark.timeout(900)
def test_better_models_come_are_used_and_go(site: Path) -> None:
    assert "active lobes version 1, released with Thoracle" in run("models", "list")[1]
    code, output = run("models", "promote", "lobes", "1")
    assert (code, "thoracle models init" in output) == (1, True)
    code, output = run("models", "add", site / "lungs.onnx", "--spec", site / "lungs.toml", "--promote")
    assert code == 0, output
    assert "lungs: version 1 is active. A running service takes it up" in output
    assert f"lungs.onnx: sha256 {hashlib.sha256(tiny_models.lungs()).hexdigest()}" in output
    assert "installed lungs version 1" in output
    assert "made from the shipped models" in output
    code, output = run("models", "add", site / "lobes.onnx", "--spec", site / "lobes.toml")
    assert code == 0, output
    assert "installed lobes version 2" in output
    assert "made from the shipped" not in output
    assert "it is not served yet: thoracle models promote lobes 2" in output
    assert "active lobes version 1" in run("models", "list")[1]
    code, output = run("models", "promote", "lobes", "2", "--ct", site / "ct")
    assert code == 0, output
    assert "lobes: version 2 is active, before it 1" in output
    assert re.search(r"RUL 0\.\d{4}", output), "how it differs is printed"

    listed = run("models", "list")[1]
    assert f"model repository {site / 'data' / 'models'}" in listed
    assert "previous lobes version 1" in listed
    assert "active lobes version 2, from tests; lobes.onnx, SHA-256" in listed
    assert "ok model lungs: version 1" in run("doctor")[1]

    assert run("analyse", DEMO_CT, "--out", site / "out")[0] == 0
    result = json.loads((site / "out/result.json").read_text())
    assert [(m["name"], m["version"]) for m in result["models"]] == [
        ("lung-opacity", LUNG_OPACITY.version),
        ("lungs", "1"),
        ("lung-shape", LUNG_SHAPE.version),
        ("lobes", "2"),
        ("opacity-context", OPACITY_CONTEXT.version),
    ]
    assert all(m["sha256"] in listed for m in result["models"])
    assert "UNMEASURED_MODEL" in result["flags"] and UNMEASURED_MODEL.sentence in result["warnings"]
    found = result["measurements"]
    assert 4000 < found["LUNG_TOTAL"]["volume_ml"] < 5800
    assert all(found[lobe.name]["volume_ml"] > 300 for lobe in Lobe)

    assert "lobes: version 1 is active" in run("models", "remove", "lobes")[1]
    assert "lungs: none is active" in run("models", "remove", "lungs")[1]
    assert run("models", "remove", "lobes")[0] == 1
    assert "none lungs" in run("models", "list")[1]
    trail = run("audit")[1]
    assert [trail.count(word) for word in (" add ", " promote ", " remove ", " refused ")] == [2, 2, 3, 1]
    assert f"{getuser()}@{gethostname()}" in trail


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
    run("migrate")  # a refusal creates no database, and is noted where there is one
    code, output = run("models", "add", *(a.format(site=site) for a in arguments))
    assert code in (1, 2)
    assert said.format(site=site) in output
    assert not (site / "data/models").exists()
    if code == 1:
        assert f" add {Path(arguments[0]).name} refused " in run("audit")[1]


def test_a_trial_is_shown_in_the_list_and_ended(site: Path) -> None:
    run("models", "add", site / "lobes.onnx", "--spec", site / "lobes.toml")
    code, output = run("models", "canary", "lobes", "2", "--share", "0.25", "--ct", site / "ct")
    assert code == 0, output
    assert "lobes: version 1 is active; candidate 2, 0.25 of the studies" in output
    stages = [output.index(stage) for stage in ("reading the CT", "reference: ", "candidate: ", "lobes: version 1")]
    assert stages == sorted(stages), "the minute that the gate takes is not silent"
    assert "candidate lobes version 2, 0.25 of the studies, from tests" in run("models", "list")[1]
    assert run("models", "compare", "lobes")[1] == "No candidate of lobes has been in the shadow."
    assert "lobes: version 1 is active. A running" in run("models", "withdraw", "lobes")[1]
    assert "installed lobes version 2" in run("models", "list")[1]
    code, output = run("models", "rollback", "lobes")
    assert (code, "no earlier version to go back to" in output) == (1, True)
    history = run("models", "history", "lobes")[1]
    assert all(what in history for what in ("rollback lobes refused", "withdraw lobes done", "canary lobes done"))
    one, two = (rf"\(version {version}, sha256 [0-9a-f]{{12}}" for version in (1, 2))
    ended = rf"before \(active {one}\), candidate {two}, share 0.25, shadow False\)\), after \(active {one}\)\)"
    assert re.search(rf"withdraw lobes done version 2, sha256 [0-9a-f]{{12}}, {ended}", history)
    assert run("models", "canary", "lobes", "2", "--share", "7", "--ct", site / "ct")[0] == 1
    assert run("audit", "--subject", "lungs")[1] == "There are no such entries."


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
    assert run("audit")[1].count(" init models done") == 1


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
    assert not (site / "data/models").exists()


def test_the_help_teaches() -> None:
    life = ("canary", "shadow", "promote", "rollback", "withdraw", "compare", "history")
    for command in ([], *([one] for one in ("list", "init", "add", "remove", *life))):
        code, output = run("models", *command, "--help")
        assert code == 0
        assert "Example" in output


def test_the_command_line_loads_neither_torch_nor_the_converters() -> None:
    loaded = "import sys, service.cli; print({'torch', 'lungmask', 'converters', 'onnx'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True).stdout == "set()\n"
