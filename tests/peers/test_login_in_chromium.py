"""People log in with a real browser, Chromium: cookies, forms and the policy of contents work as it takes them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import ohif
from helpers.openid import CLIENT_SECRET, OpenIdProvider
from helpers.running_api import RunningApi

from service.composition.users import users
from service.domain.login import Role
from service.ops.authentication import COOKIE
from service.settings import load

pytestmark = pytest.mark.peers

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """With a local account, ada, and a provider where kim is a radiologist."""
    folder: Path = tmp_path_factory.mktemp("api")
    made = RunningApi(folder)
    made.url = f"http://localhost:{made.port}"
    provider = OpenIdProvider(f"{made.url}/login/openid/callback", {"kim": ["radiologists"]}, folder / "provider.log")
    ours = {"client_id": "thoracle", "client_secret": CLIENT_SECRET, "groups": {"radiologists": "reviewer"}}
    made.configure(url=made.url, login={"accounts": True, "openid": {"issuer": provider.issuer, **ours}})
    users(load(made.config))[0].add("ada", PASSWORD, {Role.OPERATOR})
    with provider, made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with ohif.browser() as browser:
        yield browser


@pytest.fixture
def page(chromium: Any, api: RunningApi) -> Iterator[Any]:
    """A page of a new browser; nothing on it may be refused by the policy of contents."""
    complaints: list[str] = []
    with chromium.new_context(viewport={"width": 1000, "height": 700}) as context:
        context.set_default_timeout(30_000)
        opened = context.new_page()
        opened.on("console", lambda message: complaints.append(message.text))
        yield opened
    assert [text for text in complaints if "Content Security Policy" in text] == []


def test_a_local_account_logs_in_and_out(page: Any, api: RunningApi) -> None:
    page.goto(api.url)
    assert page.url == f"{api.url}/login"
    ohif.keep_picture(page, "login.png")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("wrong password")
    page.get_by_role("button", name="Log in").click()
    assert page.get_by_role("alert").inner_text() == "The name or the password is wrong."
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="ada").wait_for()
    assert page.url == f"{api.url}/"
    ohif.keep_picture(page, "logged_in.png")
    (cookie,) = (one for one in page.context.cookies() if one["name"] == COOKIE)
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
    assert page.evaluate("document.cookie") == "", "no script reads a cookie"
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Log in").wait_for()
    assert page.context.request.get(f"{api.url}/api/me").status == 401


def test_the_hospitals_login_brings_a_radiologist_back(page: Any, api: RunningApi) -> None:
    page.goto(f"{api.url}/login")
    page.get_by_role("link", name="Log in with the hospital's account").click()
    page.locator("input[name=login]").fill("kim")
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    page.locator("button[type=submit]").click()
    page.get_by_role("heading", name="kim").wait_for()
    assert "Known by: OpenID. Roles: viewer, reviewer." in page.locator("main").inner_text()


def test_a_page_of_another_site_changes_nothing(page: Any, api: RunningApi, tmp_path: Path) -> None:
    page.goto(f"{api.url}/login")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="ada").wait_for()
    foreign = tmp_path / "foreign.html"
    foreign.write_text(f'<form method="post" action="{api.url}/logout"><button>win</button></form>')
    page.goto(foreign.as_uri())
    with page.expect_response("**/logout") as answered:
        page.get_by_role("button", name="win").click()
    assert answered.value.status == 403
    page.goto(api.url)
    page.get_by_role("heading", name="ada").wait_for()


def test_the_page_of_the_api_is_whole(page: Any, api: RunningApi) -> None:
    page.goto(f"{api.url}/docs")
    assert page.get_by_role("heading", name="POST /api/jobs/{job_id}/review").is_visible()
    assert page.evaluate("getComputedStyle(document.body).margin") == "0px", "the style sheet is there"
    ohif.keep_picture(page, "docs.png")
