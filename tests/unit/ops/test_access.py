"""Every route has a role or is open for a reason; nobody gets in without it."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse
from fastapi.testclient import TestClient
from helpers.databases import open_database
from helpers.hostile_requests import application
from helpers.logins import as_

from service.domain.login import Role
from service.ops.access import OPEN_ROUTES, required_roles
from service.ops.api import SelfReport, create_app
from service.roles import api as api_role
from service.settings import Settings
from service.web.docs_page import docs_page

ROLES = {
    ("GET", "/api/me"): Role.VIEWER,
    ("GET", "/api/jobs"): Role.VIEWER,
    ("GET", "/api/jobs/{job_id}"): Role.VIEWER,
    ("GET", "/api/worklist"): Role.VIEWER,
    ("GET", "/api/models"): Role.VIEWER,
    ("GET", "/api/models/{name}/shadow"): Role.VIEWER,
    ("POST", "/api/jobs/{job_id}/review"): Role.REVIEWER,
    ("POST", "/api/jobs/{job_id}/retry"): Role.OPERATOR,
    ("POST", "/api/jobs/{job_id}/cancel"): Role.OPERATOR,
    ("POST", "/api/jobs/{job_id}/resend"): Role.OPERATOR,
    ("POST", "/api/jobs/{job_id}/reanalyse"): Role.OPERATOR,
    ("POST", "/api/models/{name}/canary"): Role.ADMIN,
    ("POST", "/api/models/{name}/shadow"): Role.ADMIN,
    ("POST", "/api/models/{name}/promote"): Role.ADMIN,
    ("POST", "/api/models/{name}/rollback"): Role.ADMIN,
    ("POST", "/api/models/{name}/withdraw"): Role.ADMIN,
    ("GET", "/api/audit"): Role.ADMIN,
}
"""The table that docs/how-to/log-in.md has in words."""

MAY = {
    Role.VIEWER: {Role.VIEWER},
    Role.REVIEWER: {Role.VIEWER, Role.REVIEWER},
    Role.OPERATOR: {Role.VIEWER, Role.OPERATOR},
    Role.ADMIN: {Role.VIEWER, Role.OPERATOR, Role.ADMIN},
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    folder: Path = tmp_path_factory.mktemp("api")
    made, _ = application(open_database(folder / "records.db"), folder)
    made.include_router(docs_page())
    return made


@pytest.fixture
def api(app: FastAPI) -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


def ask(api: TestClient, method: str, path: str, **how: Any) -> int:
    url = path.format(job_id="none", name="none") + ("?version=2&share=0.5" if "canary" in path else "")
    body = {"json": {"verdict": "accepted"}} if path.endswith("/review") else {}
    return api.request(method, url, **body, **how).status_code


def test_each_route_of_the_service_has_its_role_or_is_open_for_a_reason(tmp_path: Path) -> None:
    anything: Any = None
    settings = Settings(data_dir=tmp_path, api={"login": {"accounts": True}})  # type: ignore[arg-type]
    whole = api_role.application(
        settings, open_database(tmp_path / "records.db"), anything, SelfReport(dict, dict, bytes)
    )
    found = {one: role for one, role in required_roles(whole).items() if one[0] != "HEAD"}
    assert {one: role for one, role in found.items() if role} == ROLES
    assert {path for (_, path), role in found.items() if role is None} == OPEN_ROUTES.keys()
    assert all(len(reason) > 10 for reason in OPEN_ROUTES.values())


def _deep(path: str) -> APIRouter:
    outer, inner = APIRouter(prefix="/api"), APIRouter(prefix="/deep")
    inner.add_api_route(path, lambda: None, methods=["POST"])
    outer.include_router(inner)
    return outer


def _plain() -> APIRouter:
    router = APIRouter()
    router.add_route("/api/plain", lambda _: PlainTextResponse(""))
    return router


def _mounted() -> APIRouter:
    router = APIRouter()
    router.mount("/api/files", FastAPI())
    return router


def _socket() -> APIRouter:
    router = APIRouter()
    router.add_api_websocket_route("/api/socket", lambda: None)
    return router


@pytest.mark.parametrize("more", [_deep("/secret"), _mounted(), _socket(), _plain()])
def test_an_application_with_a_route_without_a_role_is_not_made(more: APIRouter) -> None:
    anything: Any = None
    with pytest.raises(AssertionError, match="routes that need no role"):
        create_app("0", anything, anything, anything, SelfReport(dict, dict, bytes), [more])


@pytest.mark.parametrize(("method", "path"), ROLES)
def test_a_route_lets_in_who_has_its_role_and_nobody_else(api: TestClient, method: str, path: str) -> None:
    assert ask(api, method, path) == 401
    assert ask(api, method, path, headers=as_("nobody")) == 401
    for role in Role:
        refused = ask(api, method, path, headers=as_(role)) == 403
        assert refused == (ROLES[method, path] not in MAY[role]), role


def test_who_asks_is_told_who_they_are(api: TestClient) -> None:
    assert api.get("/api/me", headers=as_("admin")).json() == {
        "name": "admin",
        "means": "token",
        "roles": ["viewer", "operator", "admin"],
        "audit_name": "admin (token)",
        "csrf_token": None,
    }
    answer = api.get("/api/me")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="thoracle"'


def test_an_address_with_another_ending_leads_nowhere(api: TestClient) -> None:
    for path in ("/docs/", "/api/jobs/"):
        answer = api.get(path, headers={"Host": "6.6.6.6"} | as_("ada"), follow_redirects=False)
        assert "location" not in answer.headers and answer.status_code == 404


def test_an_application_without_a_configured_login_lets_in_nobody() -> None:
    anything: Any = None
    app = create_app("0", anything, anything, anything, SelfReport(dict, dict, bytes))
    answer = TestClient(app, base_url="http://localhost").get("/api/jobs", headers=as_("ada"))
    assert answer.status_code == 401


def test_the_page_of_the_api_tells_the_role_of_every_operation(api: TestClient, app: FastAPI) -> None:
    text = api.get("/docs").text
    for method, path in ROLES:
        assert f"{method} {path}" in text
    assert text.count("Role: admin") == sum(role is Role.ADMIN for role in ROLES.values())
    assert "<script" not in text and "//" not in text.replace("<!doctype html>", "")
