"""Every route of the OpenAPI document, with values that no database or JSON can hold: never a 5xx."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from helpers.databases import open_database
from helpers.hostile_requests import BY, answer_all, application


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[FastAPI, str]:
    folder = tmp_path_factory.mktemp("api")
    return application(open_database(folder / "records.db"), folder)


@pytest.fixture
def api(made: tuple[FastAPI, str]) -> TestClient:
    return TestClient(made[0], raise_server_exceptions=False)


def test_no_value_of_any_parameter_or_field_is_answered_5xx(made: tuple[FastAPI, str]) -> None:
    assert answer_all(*made) > 1000, "all routes are walked"


@pytest.mark.parametrize(
    "url",
    [
        "/api/jobs?offset=9000000000000000000",
        "/api/worklist?offset=9223372036854775808",
        "/api/jobs?limit=1001",
        "/api/jobs?since=0001-01-01T00:00:00%2B14:00",
        "/api/audit?since=9999-12-31T23:59:59-14:00",
        "/api/audit?subject=a%00b",
        f"/api/audit?subject={'a' * 129}",
        "/api/jobs?study_uid=%00",
        f"/api/jobs?state={'x' * 33}",
        "/api/jobs/a%00b",
        f"/api/jobs/{'a' * 65}",
        f"/api/models/{'a' * 129}/shadow",
        "/api/models/lobes/shadow?version=%00",
        "POST /api/models/lobes/canary?version=2&share=1e400",
        "POST /api/models/lobes/canary?version=2&share=nan",
        f"POST /api/models/lobes/shadow?version={'1' * 33}",
        "POST /api/jobs/a/resend?to=%00",
        f"POST /api/jobs/a/resend?to={'x' * 33}",
        f"POST /api/jobs/a/resend?{'&'.join(['to=x'] * 21)}",
    ],
)
def test_a_value_that_cannot_be_held_is_refused_in_words(api: TestClient, url: str) -> None:
    method, _, path = url.rpartition(" ")
    answer = api.request(method or "GET", path, headers=BY)
    assert answer.status_code == 422
    assert all(error["msg"] and "input" not in error for error in answer.json()["detail"])


@pytest.mark.parametrize("text", [b"\xed\xa0\x80", b"\xff", b"a\0b", b"", b"a" * 65, b"\x1b[2J"])
@pytest.mark.parametrize("header", [b"Authorization", b"Cookie", b"X-CSRF-Token", b"Origin", b"Host"])
def test_no_text_in_a_header_of_the_login_is_answered_5xx(api: TestClient, header: bytes, text: bytes) -> None:
    for value in (text, b"Bearer " + text, b"__Host-thoracle-session=" + text):
        assert api.get("/api/jobs", headers={header: value}).status_code < 500
