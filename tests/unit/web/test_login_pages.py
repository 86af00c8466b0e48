"""Logging in and out by the pages, as a browser does it, on a real database."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from helpers.databases import open_database
from httpx import Response

from service.composition.login import access, pages
from service.domain.login import Role
from service.errors import Transient
from service.ops.access import Operator
from service.ops.api import SelfReport, create_app
from service.ops.authentication import COOKIE
from service.ops.login_desk import LoginFailed
from service.settings import Settings
from service.store.audit import Audit
from service.store.users import Users
from service.web.login_pages import FORM_COOKIE, OPENID_COOKIE

PASSWORD = "correct horse battery"
PORT = "http://localhost:8080"


@dataclass
class Browser:
    """Keeps cookies as a browser on the same machine does: the secure ones too."""

    api: TestClient
    cookies: dict[str, str]

    def ask(self, method: str, path: str, headers: Mapping[str, str] = {}, **how: Any) -> Response:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {"Cookie": cookie} | ({"Origin": PORT} if method == "POST" else {}) | dict(headers)
        answer = self.api.request(method, path, headers=sent, follow_redirects=False, **how)
        for line in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                assert name.startswith("__Host-")
                assert morsel["secure"] and morsel["httponly"] and morsel["path"] == "/" and not morsel["domain"]
                assert morsel["samesite"].lower() in ("lax", "strict")
                self.cookies.pop(name, None) if morsel["max-age"] == "0" else self.cookies.update({name: morsel.value})
        self.api.cookies.clear()
        return answer

    def form(self) -> str:
        return csrf_in(self.ask("GET", "/login").text)

    def log_in(self, name: str = "ada", password: str = PASSWORD, csrf: str | None = None) -> Response:
        fields = {"name": name, "password": password, "csrf": self.form() if csrf is None else csrf}
        return self.ask("POST", "/login", data=fields)


def csrf_in(page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)
    assert found
    return found[1]


@dataclass
class House:
    """An API with one account, ada, who is an operator."""

    app: FastAPI
    users: Users
    audit: Audit

    def browser(self) -> Browser:
        return Browser(TestClient(self.app, base_url=PORT), {})

    def trail(self) -> list[tuple[str, str, str]]:
        return [(one["who"], one["what"], one["outcome"]) for one in reversed(self.audit.entries())]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def house(tmp_path: Path) -> House:
    engine = open_database(tmp_path / "records.db")
    settings = Settings(data_dir=tmp_path, api={"login": {"accounts": True}})  # type: ignore[arg-type]
    changing = APIRouter()

    @changing.post("/api/change")
    def change(by: Operator) -> str:
        return by.label

    anything: Any = None
    report = SelfReport(dict, dict, bytes)
    more = [changing, *pages(settings, engine)]
    app = create_app("1", anything, anything, anything, report, more, access(settings, engine))
    users = Users(engine, now)
    users.add("ada", PASSWORD, {Role.OPERATOR})
    return House(app, users, Audit(engine, now))


def test_who_logs_in_is_known_and_who_logs_out_is_not(house: House) -> None:
    browser = house.browser()
    answer = browser.ask("GET", "/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert browser.ask("GET", "/api/me").status_code == 401
    answer = browser.log_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.ask("GET", "/api/me").json()["audit_name"] == "ada (local account)"
    home = browser.ask("GET", "/").text
    assert "ada" in home and "viewer, operator" in home
    secret = browser.cookies[COOKIE]
    answer = browser.ask("POST", "/logout", data={"csrf": csrf_in(home)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert COOKIE not in browser.cookies
    browser.cookies[COOKIE] = secret
    assert browser.ask("GET", "/api/me").status_code == 401, "the session is over, whoever kept its cookie"
    ada = "ada (local account)"
    assert house.trail() == [(ada, "log in", "done"), (ada, "log out", "done")]


def test_a_change_needs_the_sessions_own_token(house: House) -> None:
    browser, other = house.browser(), house.browser()
    browser.log_in()
    other.log_in()
    token = browser.ask("GET", "/api/me").json()["csrf_token"]
    assert browser.ask("POST", "/api/change", {"X-CSRF-Token": token}).json() == "ada (local account)"
    others = other.ask("GET", "/api/me").json()["csrf_token"]
    for wrong in ("", others, token[:-1], browser.cookies[COOKIE]):
        answer = browser.ask("POST", "/api/change", {"X-CSRF-Token": wrong})
        assert (answer.status_code, "X-CSRF-Token" in answer.json()["detail"]) == (403, True)
    foreign = browser.ask("POST", "/api/change", {"X-CSRF-Token": token, "Origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert browser.ask("POST", "/logout", data={"csrf": others}).status_code == 403
    assert browser.ask("GET", "/api/me").status_code == 200, "nobody else logs him out"


def test_a_login_form_of_another_browser_is_refused(house: House) -> None:
    attacker, victim = house.browser(), house.browser()
    assert victim.log_in(csrf=attacker.form()).status_code == 403
    victim.form()
    assert victim.log_in(csrf=attacker.form()).status_code == 403
    assert victim.log_in(csrf="").status_code == 403
    assert COOKIE not in victim.cookies


def test_a_session_that_somebody_planted_is_not_taken_up(house: House) -> None:
    planted = "x" * 43
    browser = house.browser()
    browser.cookies[COOKIE] = planted
    browser.log_in()
    first = browser.cookies[COOKIE]
    assert first != planted
    browser.log_in()
    assert browser.cookies[COOKIE] != first
    browser.cookies[COOKIE] = first
    assert browser.ask("GET", "/api/me").status_code == 401, "a new login ends the session before"


@pytest.mark.parametrize(
    ("name", "password"), [("ada", "wrong password"), ("kim", PASSWORD), ("", ""), ("a\x1b", PASSWORD)]
)
def test_a_wrong_name_and_a_wrong_password_are_told_alike(house: House, name: str, password: str) -> None:
    answer = house.browser().log_in(name, password)
    assert (answer.status_code, "The name or the password is wrong." in answer.text) == (401, True)
    assert password == "" or password not in answer.text
    expected = {"ada": "ada (local account)", "kim": "unknown name (local account)"}
    assert house.trail() == ([(expected[name], "log in", "refused")] if name in expected else [])


def test_a_name_with_markup_is_shown_as_text_and_a_strange_form_refused(house: House) -> None:
    house.users.add("kim", PASSWORD, {Role.VIEWER})
    browser = house.browser()
    assert "<b>" not in browser.log_in("<b>kim</b>", "x").text
    csrf = browser.form()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    for strange in ("name=ada&name=kim", "name=%00", "name=%ff", "&".join(f"f{n}=1" for n in range(20)), "name=\xfc"):
        answer = browser.ask("POST", "/login", kind, content=f"csrf={csrf}&{strange}".encode())
        assert answer.status_code == 400, strange
    assert browser.ask("POST", "/login", json={"csrf": csrf}).status_code == 400


def test_who_guesses_is_refused_and_the_right_password_too_for_a_while(house: House) -> None:
    browser = house.browser()
    assert [browser.log_in(password="wrong").status_code for _ in range(10)] == [401] * 10
    answer = browser.log_in()
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 15 * 60
    assert COOKIE not in browser.cookies
    assert len(house.trail()) == 10, "what is not looked at does not fill the trail"


def test_who_is_refused_because_many_log_in_has_not_failed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = house.browser()
    with monkeypatch.context() as busy:
        busy.setattr(Users, "check", _busy)
        assert {browser.log_in().status_code for _ in range(12)} == {429}
    assert browser.log_in().status_code == 303
    assert house.trail() == [("ada (local account)", "log in", "done")]


def _busy(*_: object) -> None:
    raise Transient("too many log in at this moment; try again")


def test_roles_and_accounts_that_are_taken_away_are_gone_at_once(house: House) -> None:
    browser = house.browser()
    browser.log_in()
    token = {"X-CSRF-Token": browser.ask("GET", "/api/me").json()["csrf_token"]}
    assert browser.ask("POST", "/api/change", token).status_code == 200
    house.users.set_roles("ada", {Role.VIEWER})
    assert browser.ask("POST", "/api/change", token).status_code == 403
    house.users.remove("ada")
    assert browser.ask("POST", "/api/change", token).status_code == 401


def test_openid_that_is_not_configured_is_refused(house: House) -> None:
    browser = house.browser()
    answer = browser.ask("GET", "/login/openid")
    assert (answer.status_code, "Nobody logs in by OpenID here." in answer.text) == (401, True)
    for query in ("", "?state=a&code=b", "?state=%ff&code=b", "?error=access_denied"):
        assert browser.ask("GET", f"/login/openid/callback{query}").status_code == 401
    browser.cookies[OPENID_COOKIE] = "a"
    assert browser.ask("GET", "/login/openid/callback?state=a&code=b").status_code == 401
    assert COOKIE not in browser.cookies and FORM_COOKIE in browser.cookies


def test_a_failure_says_when_to_try_again() -> None:
    assert (str(LoginFailed("no", 3.0)), LoginFailed("no").wait_s) == ("no", 0.0)
