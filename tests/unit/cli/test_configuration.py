"""Where the command line looks for its configuration, and that looking at a service creates nothing."""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers.databases import open_database
from typer.testing import CliRunner

from service.cli import app, configuration
from service.store.engine import sqlite_engine


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user in a folder of their own, whose machine has no configuration elsewhere."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.delenv("THORACLE_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "personal"))
    monkeypatch.setattr(
        configuration, "usual_places", lambda places=configuration.usual_places: (*places()[:2], tmp_path / "etc.yaml")
    )
    return here


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, words)
    return done.exit_code, " ".join(done.output.split())


def site(config: Path, data_dir: Path) -> None:
    """The configuration of a service that has a database."""
    data_dir.mkdir()
    open_database(data_dir / "records.db")
    config.parent.mkdir(exist_ok=True)
    config.write_text(json.dumps({"data_dir": str(data_dir)}))


READING = (
    ["jobs", "list"],
    ["jobs", "show", "1"],
    ["jobs", "retry", "1"],
    ["jobs", "cancel", "1"],
    ["jobs", "resend", "1"],
    ["jobs", "reanalyse", "1"],
    ["jobs", "review", "1", "--verdict", "accepted"],
    ["audit"],
    ["models", "compare", "lobes"],
    ["models", "history", "lobes"],
)


@pytest.mark.parametrize("words", READING, ids=lambda words: "-".join(words[:2]))
def test_without_a_database_every_question_is_answered_by_where_it_was_sought(
    words: list[str], empty_folder: Path
) -> None:
    code, output = run(*words)
    assert code == 1
    assert f"there is no Thoracle database in {empty_folder / 'data'}" in output
    assert "--config" in output
    assert list(empty_folder.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["models", "list"],
        ["models", "promote", "lobes", "2"],
        ["models", "rollback", "lobes"],
        ["models", "withdraw", "lobes"],
        ["models", "remove", "lobes"],
        ["models", "add", "nothing.onnx"],
        ["doctor"],
    ],
    ids="-".join,
)
def test_nor_does_anything_else_create_one_that_changes_nothing(words: list[str], empty_folder: Path) -> None:
    code, output = run(*words)
    assert code == (0 if words == ["models", "list"] else 1), output
    assert list(empty_folder.iterdir()) == []
    if words == ["doctor"]:
        assert "no configuration file was named or found" in output


def test_an_older_database_is_left_as_it_is(empty_folder: Path, tmp_path: Path) -> None:
    site(Path("thoracle.yaml"), tmp_path / "data")
    engine = sqlite_engine(tmp_path / "data" / "records.db")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE schema_version SET version_num = '0001'"))
    code, output = run("jobs", "list")
    assert (code, "has schema 0001" in output, "thoracle migrate" in output) == (1, True, True)
    with engine.begin() as connection:
        assert connection.scalar(sa.text("SELECT version_num FROM schema_version")) == "0001"


def test_the_usual_places_are_looked_at_in_their_order_and_the_one_found_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [tmp_path / "etc.yaml", tmp_path / "personal" / "thoracle" / "thoracle.yaml", Path("thoracle.yaml")]
    (tmp_path / "personal").mkdir()
    for number, place in enumerate(places):
        site(place, tmp_path / str(number))
        code, output = run("jobs", "list")
        assert (code, output) == (0, f"configuration: {place} There are no such jobs.")
    named = tmp_path / "named.yaml"
    site(named, tmp_path / "named")
    assert run("jobs", "list", "--config", str(named)) == (0, "There are no such jobs.")
    monkeypatch.setenv("THORACLE_CONFIG", str(named))
    assert run("jobs", "list") == (0, "There are no such jobs.")
    monkeypatch.setenv("THORACLE_CONFIG", "")
    assert run("jobs", "list")[0] == 1, "empty: no file"


def test_a_configuration_or_a_database_of_another_user_is_said_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site(Path("thoracle.yaml"), tmp_path / "data")
    monkeypatch.setattr("os.access", lambda path, _mode: not str(path).endswith("thoracle.yaml"))  # root may all
    code, output = run("jobs", "list")
    assert (code, "thoracle.yaml may not be read by this user" in output) == (2, True)
    monkeypatch.setattr("os.access", lambda path, _mode: not str(path).endswith("records.db"))
    code, output = run("jobs", "list")
    assert (code, "run the command as the user of the service" in output) == (1, True)


def test_version_is_an_option_too() -> None:
    assert run("--version") == run("version")
    assert run("--version")[0] == 0
