"""docker/passwords.py: made once, each for its reader alone, and what its readers make of it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.dicom_peers import require
from sqlalchemy.engine import make_url

from service.settings import load

SCRIPT = Path(__file__).parents[2] / "docker" / "passwords.py"
LOGINS = ("service", "database", "grafana", "pacs")
OWNERS = {
    "service/thoracle_database_url": 10001,
    "database/password": 999,
    "grafana/password": 472,
    "pacs/users.json": 0,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if os.getuid():
        pytest.skip("only root may give files away")
    require("setpriv")
    for name in LOGINS:
        (tmp_path / name).mkdir()
    return tmp_path


def run(folder: Path, **environment: str) -> str:
    """What it prints, as root with the one right that compose.yaml gives it."""
    rights = ["setpriv", "--bounding-set=-all,+chown", "--inh-caps=-all", "--no-new-privs"]
    command = [*rights, sys.executable, str(SCRIPT), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in OWNERS}


def test_each_file_is_its_readers_alone(folder: Path) -> None:
    told = run(folder)
    assert {name: (folder / name).stat().st_uid for name in OWNERS} == OWNERS
    assert {(folder / name).stat().st_mode & 0o777 for name in OWNERS} == {0o600}
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == sorted(OWNERS)
    passwords = [contents(folder)["database/password"], contents(folder)["grafana/password"]]
    assert not any(password in told for password in passwords)
    assert "cat /run/login/password" in told


def test_every_installation_has_its_own_and_keeps_it(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    run(folder)
    first = contents(folder)
    assert "all passwords are there already" in run(folder)
    assert contents(folder) == first
    other = tmp_path_factory.mktemp("other")
    for name in LOGINS:
        (other / name).mkdir()
    run(other)
    assert all(contents(other)[name] != first[name] for name in OWNERS)


def test_the_service_and_its_database_have_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(folder)
    monkeypatch.setenv("THORACLE_SECRETS", str(folder / "service"))
    url = load(None).database_url
    assert url is not None
    password = contents(folder)["database/password"]
    assert len(password) >= 32
    assert re.fullmatch("[A-Za-z0-9_-]+", password)
    assert url.get_secret_value() == f"postgresql+psycopg://thoracle:{password}@postgres/thoracle"


def test_a_login_of_which_a_file_is_missing_is_made_as_a_whole(folder: Path) -> None:
    run(folder)
    before = contents(folder)
    (folder / "service" / "thoracle_database_url").unlink()
    assert "passwords made: POSTGRES\n" in run(folder)
    after = contents(folder)
    assert after["database/password"] != before["database/password"]
    assert after["database/password"] in after["service/thoracle_database_url"]
    assert after["grafana/password"] == before["grafana/password"]


def test_a_password_of_the_sites_own_is_taken(folder: Path) -> None:
    run(folder, POSTGRES_PASSWORD="p@ss/w:rd %2F?#", PACS_PASSWORD="theirs", GRAFANA_PASSWORD="")
    assert contents(folder)["database/password"] == "p@ss/w:rd %2F?#"
    url = make_url(contents(folder)["service/thoracle_database_url"])
    assert (url.password, url.host, url.database) == ("p@ss/w:rd %2F?#", "postgres", "thoracle")
    assert json.loads(contents(folder)["pacs/users.json"])["RegisteredUsers"] == {"trial": "theirs"}
    assert len(contents(folder)["grafana/password"]) >= 32
