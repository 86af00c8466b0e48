"""The configuration file may be named in the environment, as the image does."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "thoracle.yaml"
    config.write_text("receiver: {prot: 104}")
    monkeypatch.setenv("THORACLE_CONFIG", str(config))
    told = CliRunner().invoke(app, ["doctor"])
    assert told.exit_code == 2
    assert "receiver.prot" in told.output


def test_an_empty_file_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "thoracle.yaml"
    config.touch()
    monkeypatch.setenv("THORACLE_CONFIG", str(config))
    monkeypatch.setenv("THORACLE_DATA_DIR", str(tmp_path / "data"))
    assert CliRunner().invoke(app, ["models", "list"]).exit_code == 0
