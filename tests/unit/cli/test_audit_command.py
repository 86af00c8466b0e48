"""`thoracle audit`: who changed what, and whether anybody changed that."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from service.cli import app
from service.composition.audit_trail import signing_heads
from service.composition.storage import open_storage
from service.settings import Settings
from service.store.audit import DONE, Audit


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "thoracle.yaml"
    file.write_text(json.dumps({"data_dir": str(tmp_path / "data")}))
    return file


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["audit", *map(str, arguments)], env={"COLUMNS": "500"})
    return done.exit_code, " ".join(done.output.split())


def test_a_trail_is_shown_verified_and_found_broken(tmp_path: Path, config: Path) -> None:
    assert "there is no Thoracle database" in run("verify", "--config", config)[1]
    settings = Settings(data_dir=tmp_path / "data")
    _, engine = open_storage(settings)
    trail = Audit(engine, lambda: datetime.now(UTC))
    with trail.entry("ada@host", "promote", "lobes", version="2"):
        pass
    assert run("verify", "--config", config) == (0, "2 rows follow from each other, 0 of them are signed")
    code, said = run("key", "--config", config)
    assert code == 1 and "the first worker makes it when it starts" in said
    heads = signing_heads(settings, engine)
    assert heads.sign()
    code, said = run("key", "--config", config)
    assert code == 0 and len(bytes.fromhex(said)) == 32
    assert run("verify", "--config", config) == (0, "2 rows follow from each other, 2 of them are signed")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE audit SET who = 'eve' WHERE id = 2"))
    code, said = run("verify", "--config", config)
    assert code == 1 and said.startswith("broken entry 2 of ") and "tells otherwise than entry 1" in said
    assert "ada@host promote lobes done" in run("--config", config)[1], "as it began"


def test_options_before_a_command_that_are_not_for_it_are_refused(config: Path) -> None:
    code, said = run("--config", config, "verify")
    assert code == 2 and "--config goes behind 'verify'" in said


def test_what_is_noted_for_the_trail_comes_from_a_change(tmp_path: Path, config: Path) -> None:
    _, engine = open_storage(Settings(data_dir=tmp_path / "data"))
    Audit(engine, lambda: datetime.now(UTC)).note("ada", "retry", "job\x1b[2J", DONE)
    code, said = run("--config", config)
    assert code == 0 and "\x1b[2J" not in said and "job\ufffd[2J" in said
