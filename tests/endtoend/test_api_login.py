"""The API as a process: with and without a login, with client certificates, and what operators do beside it."""

import json
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from helpers.authority import Authority
from helpers.running_api import RunningApi

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"


def thoracle(api: RunningApi, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service", *arguments, "--config", str(api.config)]
    return subprocess.run(command, capture_output=True, text=True, input=given, timeout=60)


def test_without_a_login_this_machine_may_do_everything_and_is_called_so(tmp_path: Path) -> None:
    with RunningApi(tmp_path) as api:
        me = httpx.get(f"{api.url}/api/me").json()
        assert (me["audit_name"], me["csrf_token"]) == ("unauthenticated (loopback)", None)
        assert me["roles"] == ["viewer", "reviewer", "operator", "admin"]
        assert httpx.post(f"{api.url}/api/jobs/none/cancel").status_code == 404
        assert (
            httpx.post(f"{api.url}/api/jobs/none/cancel", headers={"Origin": "https://evil.example"}).status_code == 403
        )
        assert httpx.get(f"{api.url}/api/jobs", headers={"Host": "evil.example"}).status_code == 400
        passed_on = httpx.get(f"{api.url}/api/me", headers={"X-Forwarded-For": "203.0.113.9"})
        assert (passed_on.status_code, "a proxy has passed this request on" in passed_on.text) == (401, True)
        assert "no login is configured" in api.log()
        assert "Nobody logs in here: no login is configured" in httpx.get(f"{api.url}/login").text
        assert httpx.get(f"{api.url}/openapi.json").json() == json.loads(DOCUMENT.read_text())
        lines = [line for line in thoracle(api, "doctor").stdout.splitlines() if "login" in line]
        assert "whoever can use this machine may see and change everything" in " ".join(lines)


@pytest.mark.parametrize("role", ["api", "all"])
def test_another_address_than_loopback_needs_a_login(tmp_path: Path, role: str) -> None:
    api = RunningApi(tmp_path)
    api.configure(host="0.0.0.0")
    refused = thoracle(api, "serve", "--role", role)
    assert refused.returncode != 0
    for words in ("no login is configured", "api.login.accounts", "thoracle users add"):
        assert words in " ".join(refused.stderr.split())
    assert "no login is configured" in " ".join(thoracle(api, "doctor").stdout.split())


def test_accounts_and_tokens_made_beside_a_running_api_count_at_once(tmp_path: Path) -> None:
    api = RunningApi(tmp_path)
    api.configure(host="0.0.0.0", login={"accounts": True, "tokens": True})
    with api:
        assert "nobody can ask the API yet: thoracle users add" in " ".join(thoracle(api, "doctor").stdout.split())
        assert httpx.get(f"{api.url}/api/jobs").status_code == 401
        assert httpx.get(f"{api.url}/livez").status_code == 200
        token = thoracle(api, "tokens", "add", "ris", "--role", "viewer").stdout.strip()
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{api.url}/api/jobs", headers=headers).status_code == 200
        assert "nobody can ask" not in " ".join(thoracle(api, "doctor").stdout.split())
        assert httpx.post(f"{api.url}/api/jobs/none/cancel", headers=headers).status_code == 403
        assert "127.0.0.1" in thoracle(api, "tokens", "list").stdout
        assert thoracle(api, "tokens", "revoke", "ris").returncode == 0
        assert httpx.get(f"{api.url}/api/jobs", headers=headers).status_code == 401
        assert token not in api.log()
        done = thoracle(api, "users", "add", "ada", "--role", "admin", given="correct horse battery\n")
        assert (done.returncode, done.stdout) == (0, "ada may log in as admin.\n")


def test_a_certificate_that_our_authority_signed_has_its_role(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue("thoracle")
    api = RunningApi(tmp_path / "api")
    tls: dict[str, Any] = {"certificate": str(certificate), "key": str(key), "ca": str(authority.certificate)}
    api.configure(tls=tls, login={"certificates": {"ris": "operator"}}, probes_port=None)
    api.url = f"https://127.0.0.1:{api.port}"
    with api:

        def ask(name: str, method: str = "GET", path: str = "/api/me") -> httpx.Response:
            context = ssl.create_default_context(cafile=str(authority.certificate))
            context.check_hostname = False
            context.load_cert_chain(*authority.issue(name))
            return httpx.request(method, f"{api.url}{path}", verify=context)

        assert ask("ris").json()["audit_name"] == "ris (certificate)"
        assert ask("ris", "POST", "/api/jobs/none/cancel").status_code == 404
        assert ask("ris", "POST", "/api/models/lobes/rollback").status_code == 403
        assert ask("other").status_code == 401
        assert "max-age" in ask("ris").headers["Strict-Transport-Security"]
