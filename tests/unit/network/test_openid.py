"""An OpenID provider that lies, or that somebody stands before: nobody is let in by what it says."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from service.domain.login import Flow
from service.errors import Permanent, Transient
from service.network.openid import OpenId, Provider

KEY, OTHER = (RSAKey.generate_key(2048, {"kid": "1", "use": "sig"}) for _ in range(2))
FLOW = Flow("state", "nonce", "verifier")
CLIENT = "thoracle"


class Liar:
    """Answers each path with what it is told."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.status = 200
        self.asked: list[tuple[str, dict[str, str]]] = []
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                liar.asked.append((self.command, dict(self.headers)))
                body = liar.answers.get(self.path)
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(liar.status if body is not None else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self.describe()
        self.answers["/jwks"] = {"keys": [KEY.as_dict(private=False)]}
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def describe(self, **more: Any) -> None:
        known = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth",
            "jwks_uri": f"{self.issuer}/jwks",
        }
        known |= {"token_endpoint": f"{self.issuer}/token", "userinfo_endpoint": f"{self.issuer}/me"}
        self.answers["/.well-known/openid-configuration"] = known | more

    def grant(self, token: str) -> None:
        self.answers["/token"] = {"access_token": "a", "token_type": "Bearer", "id_token": token}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def liar() -> Iterator[Liar]:
    made = Liar()
    yield made
    made.close()


def openid(liar: Liar) -> OpenId:
    return OpenId(Provider(liar.issuer, CLIENT, "secret", "http://localhost/login/openid/callback"))


def claims(liar: Liar, **changed: Any) -> dict[str, Any]:
    now = int(time.time())
    right = {"iss": liar.issuer, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 300, "nonce": "nonce"}
    right |= {"preferred_username": "ada", "groups": ["radiologists"]}
    return {name: value for name, value in (right | changed).items() if value is not None}


def signed(body: dict[str, Any], key: Any = KEY, algorithm: str = "RS256") -> str:
    return jwt.encode({"alg": algorithm, "kid": "1"}, body, key, algorithms=[algorithm])


def test_what_is_right_is_believed(liar: Liar) -> None:
    liar.grant(signed(claims(liar)))
    found = openid(liar).finish("code", FLOW)
    assert (found.name, found.subject, found.groups) == ("ada", "1", ("radiologists",))
    address, flow = openid(liar).begin()
    assert address.startswith(f"{liar.issuer}/auth?") and f"state={flow.state}" in address
    assert openid(liar).why_not() is None


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"aud": [CLIENT, "another"]},
        {"aud": CLIENT, "azp": "another"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"iat": int(time.time()) + 3600},
    ],
)
def test_an_id_token_with_a_wrong_claim_is_refused(liar: Liar, changed: dict[str, Any]) -> None:
    liar.grant(signed(claims(liar, **changed)))
    with pytest.raises(Permanent, match="ID token"):
        openid(liar).finish("code", FLOW)


@pytest.mark.parametrize(
    "forged",
    [
        lambda body: signed(body, OTHER),
        lambda body: signed(body, OctKey.import_key("secret" * 8), "HS256"),
        lambda body: signed(body)[:-4] + "AAAA",
        lambda _: "no token",
        lambda _: "",
        lambda body: ".".join(["eyJhbGciOiJub25lIn0", signed(body).split(".")[1], ""]),
    ],
)
def test_an_id_token_that_the_provider_has_not_signed_is_refused(
    liar: Liar, forged: Callable[[dict[str, Any]], str]
) -> None:
    liar.grant(forged(claims(liar)))
    with pytest.raises(Permanent, match="ID token"):
        openid(liar).finish("code", FLOW)


@pytest.mark.parametrize("name", [None, 5, "", "a\x1b[2J", "a" * 129, " ada", ["ada"]])
def test_a_name_that_cannot_be_written_down_is_refused(liar: Liar, name: Any) -> None:
    liar.grant(signed(claims(liar, preferred_username=name)))
    liar.answers["/me"] = {"sub": "1"}
    with pytest.raises(Permanent, match="preferred_username"):
        openid(liar).finish("code", FLOW)


def test_more_claims_are_asked_for_and_belong_to_the_same_person(liar: Liar) -> None:
    liar.grant(signed(claims(liar, groups=None)))
    liar.answers["/me"] = {"sub": "1", "groups": ["radiologists", 7], "preferred_username": "kim"}
    found = openid(liar).finish("code", FLOW)
    assert (found.name, found.groups) == ("ada", ("radiologists",)), "what is signed counts"
    liar.answers["/me"]["sub"] = "2"
    with pytest.raises(Permanent, match="another person"):
        openid(liar).finish("code", FLOW)


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ({"issuer": "https://evil.example"}, "calls itself"),
        ({"token_endpoint": None}, "no token_endpoint"),
        ({"jwks_uri": "file:///etc/passwd"}, "no jwks_uri"),
        ({"authorization_endpoint": "https://[bad"}, "no authorization_endpoint"),
        ({"token_endpoint": "https://"}, "no token_endpoint"),
        ({"jwks_uri": "https://\0"}, "no jwks_uri"),
        ({"token_endpoint": "https://a:99999/"}, "no token_endpoint"),
    ],
)
def test_a_description_that_is_no_use_is_refused(liar: Liar, description: dict[str, Any], said: str) -> None:
    liar.describe(**description)
    with pytest.raises(Permanent, match=said):
        openid(liar).begin()
    assert said in str(openid(liar).why_not())


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"null", b"\xff"])
def test_an_answer_that_is_no_document_is_refused(liar: Liar, answer: bytes) -> None:
    liar.answers["/.well-known/openid-configuration"] = answer
    with pytest.raises(Permanent, match="answer"):
        openid(liar).begin()


def test_a_refusal_and_keys_that_cannot_be_read_are_told(liar: Liar) -> None:
    liar.answers["/token"] = {"error": "invalid_grant", "error_description": "x"}
    with pytest.raises(Permanent, match="refuses: invalid_grant"):
        openid(liar).finish("code", FLOW)
    liar.grant(signed(claims(liar)))
    for keys in ({}, {"keys": 5}, {"keys": [{"kty": "RSA"}]}, {"keys": []}):
        liar.answers["/jwks"] = keys
        with pytest.raises(Permanent):
            openid(liar).finish("code", FLOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"token_type": 5},
        {"token_type": "mac"},
        {"token_type": None},
        {"access_token": None},
        {"id_token": 5},
        {"expires_in": "x"},
        [],
        5,
        None,
        "text",
    ],
)
def test_an_answer_to_a_code_that_is_no_use_is_refused_in_words(liar: Liar, changed: Any) -> None:
    liar.grant(signed(claims(liar, groups=None)))
    liar.answers["/me"] = {"sub": "1"}
    known = liar.answers["/token"]
    liar.answers["/token"] = known | changed if isinstance(changed, dict) else json.dumps(changed).encode()
    with pytest.raises(Permanent, match="provider"):
        openid(liar).finish("code", FLOW)


@pytest.mark.parametrize("address", ["ftp://x", 5, "https://[bad", "https://"])
def test_an_address_for_more_claims_that_is_none_is_refused(liar: Liar, address: Any) -> None:
    liar.grant(signed(claims(liar, groups=None)))
    liar.describe(userinfo_endpoint=address)
    with pytest.raises(Permanent, match="no userinfo_endpoint"):
        openid(liar).finish("code", FLOW)


@pytest.mark.parametrize("keys", [{"keys": [None]}, {"keys": [5]}, {"keys": ["RSA"]}, {"keys": None}, {"keys": [{}]}])
def test_keys_of_another_form_are_refused(liar: Liar, keys: Any) -> None:
    liar.grant(signed(claims(liar)))
    liar.answers["/jwks"] = keys
    with pytest.raises(Permanent):
        openid(liar).finish("code", FLOW)


def test_several_audiences_with_our_name_in_azp_are_right_and_names_are_composed(liar: Liar) -> None:
    body = claims(liar, aud=[CLIENT, "another"], azp=CLIENT, preferred_username="Mu\u0308ller", groups=["A\u0308rzte"])
    liar.grant(signed(body))
    found = openid(liar).finish("code", FLOW)
    assert (found.name, found.groups) == ("M\u00fcller", ("\u00c4rzte",))


def test_the_environment_adds_nothing_to_what_the_provider_is_asked(
    liar: Liar, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login leaked password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/everybody.pem")
    liar.grant(signed(claims(liar)))
    assert openid(liar).finish("code", FLOW).name == "ada"
    get_headers = [headers for method, headers in liar.asked if method == "GET"]
    assert get_headers and not any("Authorization" in headers for headers in get_headers)


def test_a_provider_that_is_away_is_transient(liar: Liar) -> None:
    liar.status = 500
    with pytest.raises(Transient, match="answers 500"):
        openid(liar).begin()
    liar.close()
    with pytest.raises(Transient, match="does not answer"):
        openid(liar).begin()
