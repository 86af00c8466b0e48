"""`thoracle users` and `thoracle tokens`: secrets are shown once, never in arguments; each change is in the trail."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from service.cli import app
from service.composition import users as composed
from service.domain.login import Person, Role
from service.settings import load

PASSWORD = "correct horse battery"


class Commands:
    """Run on one configuration."""

    def __init__(self, folder: Path, **login: Any) -> None:
        self.config = folder / "thoracle.yaml"
        self.config.write_text(json.dumps({"data_dir": str(folder / "data"), "api": {"login": login}}))
        self.settings = load(self.config)

    def run(self, *arguments: str, given: str = "") -> Result:
        return CliRunner().invoke(app, [*arguments, "--config", str(self.config)], input=given)

    def person(self, password: str = PASSWORD) -> Person | None:
        found = composed.existing_users(self.settings).check("ada", password)
        return found[0] if found else None

    def trail(self) -> list[tuple[str, str, str]]:
        _, _, audit = composed.users(self.settings)
        return [(one["what"], one["subject"], one["outcome"]) for one in reversed(audit.entries())]


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path, accounts=True, tokens=True)


def test_an_account_from_its_first_day_to_its_last(commands: Commands) -> None:
    added = commands.run("users", "add", "ada", "--role", "reviewer", given=f"{PASSWORD}\n")
    assert (added.exit_code, added.output) == (0, "ada may log in as reviewer.\n")
    person = commands.person()
    assert person is not None and person.roles == {Role.REVIEWER}
    assert commands.run("users", "role", "ada", "--role", "operator", "--role", "viewer").exit_code == 0
    person = commands.person()
    assert person is not None and person.roles == {Role.OPERATOR, Role.VIEWER}
    listed = commands.run("users", "list").output
    assert "ada" in listed and "viewer, operator" in listed and PASSWORD not in listed
    assert commands.run("users", "password", "ada", given="another long password\n").exit_code == 0
    assert commands.person() is None and commands.person("another long password") is not None
    assert commands.run("users", "logout", "ada").output == "Sessions ended: 0.\n"
    assert commands.run("users", "remove", "ada").exit_code == 0
    again = commands.run("users", "remove", "ada")
    assert (again.exit_code, "there is no account ada" in again.output) == (1, True)
    whats = ["add user", "change roles", "change password", "end sessions", "remove user"]
    assert commands.trail() == [*((what, "user ada", "done") for what in whats), ("remove user", "user ada", "refused")]


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        (["users", "add", "ada", "--role", "reviewer"], "short\n", "a password has 12 to 256 characters"),
        (["users", "add", "ada"], f"{PASSWORD}\n", "--role"),
        (["users", "add", "ada", "--role", "boss"], f"{PASSWORD}\n", "boss"),
        (["users", "add", "a da", "--role", "viewer"], f"{PASSWORD}\n", "letters"),
        (["users", "add", "ada", PASSWORD, "--role", "viewer"], "", "unexpected extra argument"),
        (["tokens", "add", "ris (token)", "--role", "viewer"], "", "letters"),
        (["tokens", "add", "ris", "--role", "viewer", "--days", "0"], "", "--days"),
    ],
)
def test_what_is_no_use_is_refused_in_words(commands: Commands, arguments: list[str], given: str, said: str) -> None:
    refused = commands.run(*arguments, given=given)
    assert refused.exit_code != 0
    assert said in " ".join(refused.output.split())


def test_a_token_is_shown_once_and_works_until_it_is_revoked(commands: Commands) -> None:
    token = commands.run("tokens", "add", "ris", "--role", "viewer", "--days", "30").output.strip()
    store = composed.existing_tokens(commands.settings)
    assert store.find(token, "10.0.0.1") is not None
    listed = commands.run("tokens", "list").output
    assert "ris" in listed and "works" in listed and "from 10.0.0.1" in listed and token not in listed
    assert commands.run("tokens", "revoke", "ris").exit_code == 0
    assert store.find(token, "10.0.0.1") is None
    assert "revoked" in commands.run("tokens", "list").output
    assert commands.trail() == [("add token", "token ris", "done"), ("revoke token", "token ris", "done")]


def test_what_does_not_work_yet_is_said(tmp_path: Path) -> None:
    commands = Commands(tmp_path)
    said = commands.run("users", "add", "ada", "--role", "viewer", given=f"{PASSWORD}\n").output
    assert "api.login.accounts" in said
    assert "api.login.tokens" in commands.run("tokens", "add", "ris", "--role", "viewer").output
