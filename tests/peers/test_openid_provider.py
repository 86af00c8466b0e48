"""People log in at a real OpenID provider, oidc-provider of npm, through the pages of a running service."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from helpers.openid import CLIENT_SECRET, OpenIdProvider, logged_in_at
from helpers.running_api import RunningApi

from service.ops.authentication import COOKIE
from service.web.login_pages import OPENID_COOKIE

pytestmark = pytest.mark.peers

GROUPS = {"ada": ["radiologists", "staff"], "kim": ["staff"]}


class Site:
    """A service whose people log in at a provider."""

    def __init__(self, folder: Path) -> None:
        self.api = RunningApi(folder / "service")
        self.provider = OpenIdProvider(f"{self.api.url}/login/openid/callback", GROUPS, folder / "provider.log")
        ours = {"client_id": "thoracle", "client_secret": CLIENT_SECRET, "groups": {"radiologists": "reviewer"}}
        self.api.configure(url=self.api.url, login={"openid": {"issuer": self.provider.issuer, **ours}})

    def begin(self) -> tuple[str, str]:
        """The provider's address, and the cookie of the browser."""
        answer = httpx.get(f"{self.api.url}/login/openid")
        assert answer.status_code == 303, answer.text
        return answer.headers["location"], answer.cookies[OPENID_COOKIE]

    def finish(self, back: str, cookie: str) -> httpx.Response:
        return httpx.get(back, headers={"Cookie": f"{OPENID_COOKIE}={cookie}"})

    def log_in(self, name: str) -> httpx.Response:
        start, cookie = self.begin()
        return self.finish(logged_in_at(self.provider, start, name), cookie)

    def me(self, session: str) -> Any:
        return httpx.get(f"{self.api.url}/api/me", headers={"Cookie": f"{COOKIE}={session}"})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    with made.provider, made.api:
        yield made


def test_a_radiologist_logs_in_and_is_a_reviewer(site: Site) -> None:
    answer = site.log_in("ada")
    assert (answer.status_code, answer.headers["location"]) == (303, "/"), answer.text
    session = answer.cookies[COOKIE]
    me = site.me(session).json()
    assert (me["audit_name"], me["roles"]) == ("ada (OpenID)", ["viewer", "reviewer"])
    sent = {"Cookie": f"{COOKIE}={session}"}
    review = httpx.post(f"{site.api.url}/api/jobs/none/review", json={"verdict": "accepted"}, headers=sent)
    assert review.status_code == 403
    with_token = sent | {"X-CSRF-Token": me["csrf_token"]}
    review = httpx.post(f"{site.api.url}/api/jobs/none/review", json={"verdict": "accepted"}, headers=with_token)
    assert review.status_code == 404, "there is no such job, and ada may review"
    assert httpx.post(f"{site.api.url}/api/jobs/none/cancel", headers=with_token).status_code == 403
    httpx.post(f"{site.api.url}/logout", data={"csrf": me["csrf_token"]}, headers=sent)
    assert site.me(session).status_code == 401


def test_somebody_without_a_role_here_is_not_let_in(site: Site) -> None:
    answer = site.log_in("kim")
    assert (answer.status_code, "You have no role here." in answer.text) == (401, True)
    assert COOKIE not in answer.cookies


def test_what_comes_back_is_taken_once_in_the_same_browser_and_unaltered(site: Site) -> None:
    start, cookie = site.begin()
    back = logged_in_at(site.provider, start, "ada")
    for wrong in ("", "x" * 43):
        assert COOKIE not in site.finish(back, wrong).cookies, "another browser has another state"
    _, other = site.begin()
    assert COOKIE not in site.finish(back, other).cookies
    assert COOKIE in site.finish(back, cookie).cookies
    assert site.finish(back, cookie).status_code == 401, "once"
    start, cookie = site.begin()
    forged = logged_in_at(site.provider, start, "ada").replace("code=", "code=x")
    assert COOKIE not in site.finish(forged, cookie).cookies


def test_a_login_without_its_pkce_verifier_is_refused_by_the_provider(site: Site) -> None:
    start, _ = site.begin()
    assert "code_challenge=" in start and "code_challenge_method=S256" in start and "nonce=" in start
    without = "&".join(part for part in start.split("&") if not part.startswith("code_challenge"))
    assert "code=" not in logged_in_at(site.provider, without, "ada")


def test_the_trail_names_who_was_let_in_and_who_was_not(site: Site) -> None:
    site.log_in("ada")
    site.log_in("kim")
    entries = {(one["who"], one["what"], one["outcome"]) for one in site.api.trail()}
    assert {("ada (OpenID)", "log in", "done"), ("kim (OpenID)", "log in", "refused")} <= entries
