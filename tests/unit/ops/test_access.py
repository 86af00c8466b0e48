"""Every route has a role or is open for a reason; nobody gets in without it."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from helpers.databases import open_database
from helpers.hostile_requests import application
from helpers.logins import as_

from service.domain.login import Role
from service.ops.access import OPEN_ROUTES, required_roles
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


def test_each_route_has_its_role_or_is_open_for_a_reason(app: FastAPI) -> None:
    found = {one: role for one, role in required_roles(app).items() if one[0] != "HEAD"}
    assert {one: role for one, role in found.items() if role} == ROLES
    assert {path for (_, path), role in found.items() if role is None} <= OPEN_ROUTES.keys()
    assert all(len(reason) > 10 for reason in OPEN_ROUTES.values())


def test_a_route_without_a_role_would_be_seen(app: FastAPI) -> None:
    bare = FastAPI()
    bare.add_api_route("/api/secret", lambda: None)
    assert required_roles(bare)["GET", "/api/secret"] is None
    assert "/api/secret" not in OPEN_ROUTES


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


def test_an_application_without_a_configured_login_lets_in_nobody() -> None:
    from service.ops.api import SelfReport, create_app

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
