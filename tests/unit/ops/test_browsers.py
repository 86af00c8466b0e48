"""Pages of other sites reach nothing: names of hosts, origins of changes, headers of answers."""

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.ops.browsers import PROBES, SameOrigin, SecurityHeaders, TrustHosts, host_in
from service.web import pages

OURS = "thoracle.hospital.example"


@pytest.fixture
def api() -> TestClient:
    app = FastAPI()
    app.add_api_route("/thing", lambda: "", methods=["GET", "POST"])
    for probe in PROBES:
        app.add_api_route(probe, lambda: "")
    app.add_middleware(SameOrigin, own=[f"https://{OURS}"])
    app.add_middleware(TrustHosts, hosts=[OURS])
    app.add_middleware(SecurityHeaders)
    return TestClient(app)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "10.1.2.3", OURS, f"{OURS.upper()}.:443"]
)
def test_our_names_and_any_address_are_answered(api: TestClient, host: str) -> None:
    assert api.get("/thing", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"{OURS}.evil.example",
        "",
        "localhost@evil.example",
        "127.0.0.1.evil.example",
        "a:b",
        "localhost:x",
    ],
)
def test_another_name_that_leads_to_our_address_is_refused(api: TestClient, host: str) -> None:
    answer = api.get("/thing", headers={"Host": host})
    assert (answer.status_code, "api.hosts" in answer.json()["detail"]) == (400, True)
    assert "Content-Security-Policy" in answer.headers


def test_probes_are_answered_under_any_name(api: TestClient) -> None:
    assert [api.get(probe, headers={"Host": "thoracle-api"}).status_code for probe in PROBES] == [200] * len(PROBES)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": f"https://{OURS}.evil.example"},
        {"Origin": "http://localhost:8081"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost:8080", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_change_that_another_sites_page_asks_for_is_refused(api: TestClient, headers: dict[str, str]) -> None:
    assert api.post("/thing", headers={"Host": "localhost:8080"} | headers).status_code == 403
    assert api.get("/thing", headers={"Host": "localhost:8080"} | headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-origin"},
        {"Origin": f"https://{OURS}", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_our_own_page_and_a_program_may_ask_for_a_change(api: TestClient, headers: dict[str, str]) -> None:
    assert api.post("/thing", headers={"Host": "localhost:8080"} | headers).status_code == 200


def test_no_answer_lets_a_browser_load_a_script_or_anything_from_elsewhere(api: TestClient) -> None:
    for answer in (api.get("/livez"), api.get("/nothing", headers={"Host": OURS})):
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ")
        assert set(re.findall(r"\S+-src (.*?)(?:;|$)", policy)) == {"'none'", "'self'"}
        assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Strict-Transport-Security" not in answer.headers
    tls = TestClient(api.app, base_url=f"https://{OURS}").get("/thing")
    assert "max-age" in tls.headers["Strict-Transport-Security"]


def test_no_page_has_a_script_a_style_or_an_address_of_another_host() -> None:
    templates = sorted(Path(pages.__file__).parent.glob("templates/*.html"))
    assert templates
    for template in templates:
        text = template.read_text()
        assert not re.search(r"<script|<style|style=|\son\w+=|https?:|javascript:", text), template.name
    assert "url(" not in pages.STYLE_SHEET.read_text() and "@import" not in pages.STYLE_SHEET.read_text()


@pytest.mark.parametrize(("header", "host"), [("A.b:1", "a.b"), ("[::1]:1", "::1"), ("x/y", ""), ("a b", "a b")])
def test_the_host_of_a_header(header: str, host: str) -> None:
    assert host_in(header) == host


@pytest.mark.parametrize(
    ("base", "host", "origin", "status"),
    [
        ("http", OURS, f"http://{OURS}", 403),
        ("http", OURS, f"https://{OURS}", 200),
        ("http", f"{OURS}:443", f"https://{OURS}", 200),
        ("http", "10.0.0.1:8080", f"https://{OURS}:443", 200),
        ("http", "localhost", "https://localhost", 200),
        ("https", "localhost", "http://localhost", 403),
        ("https", "localhost", "https://localhost", 200),
        ("https", "localhost", "ftp://localhost", 403),
    ],
)
def test_the_scheme_of_an_origin_counts(api: TestClient, base: str, host: str, origin: str, status: int) -> None:
    client = TestClient(api.app, base_url=f"{base}://localhost")
    assert client.post("/thing", headers={"Host": host, "Origin": origin}).status_code == status
