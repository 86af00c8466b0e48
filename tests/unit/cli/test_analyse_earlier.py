"""`thoracle analyse --earlier`: the same comparison as in the service, from a folder."""

import json
from pathlib import Path

import pytest
from helpers.make_ct import write
from helpers.nodules import Nodules
from helpers.two_visits import FIRST, RIGHT, SECOND, nodule, visit
from typer.testing import CliRunner

from service.analysis.analyst import Analyst
from service.cli import app
from service.domain.eligibility import Limits

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _without_models(monkeypatch: pytest.MonkeyPatch) -> None:
    def analysts(*_: object) -> dict[str, Analyst]:
        return {"nodules": Analyst(Nodules(), None, Limits(), "0.1.0")}  # type: ignore[arg-type]

    monkeypatch.setattr("service.cli.analyse.analysts", analysts)


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["analyse", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_the_results_are_compared_and_told(tmp_path: Path) -> None:
    write(visit(FIRST, nodule(RIGHT, 4.0)), tmp_path / "ct1")
    write(visit(SECOND, nodule(RIGHT, 8.0)), tmp_path / "ct2")
    assert "Compared" not in run(tmp_path / "ct1", "-o", tmp_path / "r1")
    told = run(tmp_path / "ct2", "-o", tmp_path / "r2", "--earlier", tmp_path / "r1")
    assert "Compared with 2024-05-01 (365 days earlier)." in told and "volume doubling time" in told
    document = json.loads((tmp_path / "r2/result.json").read_text())
    assert document["comparison"]["days"] == 365


@pytest.mark.parametrize(("earlier", "out"), [("r", "r"), ("r", "r/sub/.."), ("r/study-1", "r"), ("r", "r/study-1")])
def test_earlier_results_in_the_folder_of_results_are_a_usage_error_and_stay(
    tmp_path: Path, earlier: str, out: str
) -> None:
    (tmp_path / "r/study-1").mkdir(parents=True)
    (tmp_path / "r/sub").mkdir()
    kept = tmp_path / earlier / "result.json"
    kept.write_text("{}")
    arguments = ["analyse", str(tmp_path), "-o", str(tmp_path / out), "--earlier", str(tmp_path / earlier)]
    assert CliRunner().invoke(app, arguments).exit_code == 2 and kept.is_file()


def test_a_folder_without_results_is_said(tmp_path: Path) -> None:
    write(visit(SECOND, nodule(RIGHT, 8.0)), tmp_path / "ct2")
    (tmp_path / "empty").mkdir()
    told = run(tmp_path / "ct2", "-o", tmp_path / "r2", "--earlier", tmp_path / "empty")
    assert "nothing was compared" in told
