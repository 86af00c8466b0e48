from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from service.cli import app
from service.store.engine import database_engine


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("THORACLE_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "records.db"


def test_a_new_database_is_made_and_a_second_time_nothing_is_to_do(here: Path) -> None:
    first, second = (CliRunner().invoke(app, ["migrate"]) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "was brought to schema 0" in first.output
    assert "already" in second.output
    assert sa.inspect(database_engine(here)).has_table("jobs")


def test_a_database_of_a_newer_version_is_refused_and_left_alone(here: Path) -> None:
    CliRunner().invoke(app, ["migrate"])
    engine = database_engine(here)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE schema_version SET version_num = '9999'"))
    result = CliRunner().invoke(app, ["migrate"])
    assert result.exit_code == 1
    assert "schema 9999, which a newer version" in result.output
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM schema_version")) == "9999"


def test_a_database_that_is_not_there_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THORACLE_DATABASE_URL", "postgresql+psycopg://thoracle:secret@127.0.0.1:1/thoracle")
    result = CliRunner().invoke(app, ["migrate"])
    assert result.exit_code == 1
    assert "Not migrated: the database fails" in result.output
    assert "secret" not in result.output
