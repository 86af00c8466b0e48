"""Who asks: nothing that a caller could type himself is believed."""

from ipaddress import ip_network
from typing import Any

import pytest
from helpers.logins import EVERYBODY
from starlette.requests import Request

from service.domain.login import ANYBODY_HERE, Means, Person, Role
from service.ops.authentication import COOKIE, Authentication, with_certificate
from service.ops.trusted_proxy import TrustedProxy

ADA = Person("ada", Means.ACCOUNT, frozenset({Role.ADMIN}))
PROXY = TrustedProxy([ip_network("10.0.0.5/32")], "X-User", "X-Groups", {"radiologists": Role.REVIEWER})


class Sessions:
    """Knows one session."""

    def find(self, secret: str) -> Person | None:
        return ADA if secret == "good" else None


def request(address: str = "10.9.9.9", state: dict[str, Any] | None = None, *headers: tuple[str, str]) -> Request:
    raw = [(name.lower().encode(), value.encode(errors="surrogateescape")) for name, value in headers]
    return Request({"type": "http", "headers": raw, "client": (address, 1), "state": state or {}})


def test_a_token_is_believed_and_decides_alone() -> None:
    known = Authentication(tokens=EVERYBODY, sessions=Sessions(), means=[Means.ACCOUNT], proxy=PROXY)
    session = "cookie", f"{COOKIE}=good"
    found = known.identify(request("10.9.9.9", None, ("Authorization", "Bearer viewer"), session))
    assert found is not None and (found.person.name, found.csrf) == ("viewer", None)
    for wrong in ("Bearer forged", "bearer\tforged", "Bearer", "bearer "):
        assert known.identify(request("10.0.0.5", None, ("Authorization", wrong), session, ("X-User", "kim"))) is None
    twice = ("Authorization", "Bearer viewer"), ("Authorization", "Bearer admin")
    assert known.identify(request("10.9.9.9", None, *twice)) is None


@pytest.mark.parametrize("other", ["Basic a2ltOmE=", "Negotiate YII", "Bearing x", ""])
def test_an_authorization_of_another_kind_is_not_ours_and_decides_nothing(other: str) -> None:
    header = "Authorization", other
    found = Authentication(tokens=EVERYBODY, proxy=PROXY).identify(request("10.0.0.5", None, header, ("X-User", "kim")))
    assert found is not None and found.person.name == "kim"
    assert Authentication(tokens=EVERYBODY).identify(request("10.0.0.5", None, header)) is None
    both = header, ("Authorization", "Bearer viewer"), ("X-User", "kim")
    assert Authentication(tokens=EVERYBODY, proxy=PROXY).identify(request("10.0.0.5", None, *both)) is None


def test_a_token_is_refused_where_tokens_are_not_configured() -> None:
    assert Authentication(loopback=True).identify(request("127.0.0.1", None, ("Authorization", "Bearer ada"))) is None


def test_a_session_needs_its_means_to_be_configured_still() -> None:
    cookie = "cookie", f"{COOKIE}=good"
    found = Authentication(sessions=Sessions(), means=[Means.ACCOUNT]).identify(request("10.9.9.9", None, cookie))
    assert found is not None and found.person is ADA and found.csrf
    assert Authentication(sessions=Sessions(), means=[Means.OPENID]).identify(request("10.9.9.9", None, cookie)) is None
    forged = "cookie", f"{COOKIE}=forged"
    assert Authentication(sessions=Sessions(), means=[Means.ACCOUNT]).identify(request("", None, forged)) is None


def test_a_proxys_header_counts_from_its_address_alone() -> None:
    known = Authentication(proxy=PROXY)
    headers = ("X-User", "kim"), ("X-Groups", "radiologists, others")
    for from_proxy in ("10.0.0.5", "::ffff:10.0.0.5"):
        found = known.identify(request(from_proxy, None, *headers))
        assert found is not None
        assert found.person == Person("kim", Means.PROXY, frozenset({Role.REVIEWER}))
    for other in ("10.0.0.6", "127.0.0.1", "", "testclient"):
        assert known.identify(request(other, None, *headers, ("X-Forwarded-For", "10.0.0.5"))) is None


@pytest.mark.parametrize("names", [[], [""], ["kim", "ada"], [" "], ["k\x1b[2J"], ["a" * 129]])
def test_a_proxy_that_names_nobody_or_two_is_not_believed(names: list[str]) -> None:
    headers = [("X-User", name) for name in names]
    assert Authentication(proxy=PROXY).identify(request("10.0.0.5", None, *headers)) is None


def test_groups_that_came_from_behind_the_proxy_are_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    groups = ("X-Groups", "others"), ("x-groups", "radiologists")
    assert Authentication(proxy=PROXY).identify(request("10.0.0.5", None, ("X-User", "kim"), *groups)) is None
    assert "2 lines of X-Groups" in caplog.text and "radiologists" not in caplog.text


def test_a_proxys_names_are_utf8_in_one_form_and_others_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    proxy = TrustedProxy([ip_network("10.0.0.5/32")], "X-User", "X-Groups", {"Ärzte": Role.REVIEWER})
    for user, group in (("M\u00fcller", "\u00c4rzte"), ("Mu\u0308ller", "A\u0308rzte")):
        found = Authentication(proxy=proxy).identify(request("10.0.0.5", None, ("X-User", user), ("X-Groups", group)))
        assert found is not None
        assert found.person == Person("M\u00fcller", Means.PROXY, frozenset({Role.REVIEWER}))
    for headers in (("X-User", "M\udcfcller"),), (("X-User", "kim"), ("X-Groups", "\udcc4rzte")):
        caplog.clear()
        assert Authentication(proxy=proxy).identify(request("10.0.0.5", None, *headers)) is None
        assert "not UTF-8" in caplog.text and "ller" not in caplog.text and "rzte" not in caplog.text


def test_who_the_proxy_names_without_a_known_group_may_do_nothing() -> None:
    found = Authentication(proxy=PROXY).identify(request("10.0.0.5", None, ("X-User", "kim"), ("X-Groups", "others")))
    assert found is not None and not any(found.person.may(role) for role in Role)


def test_a_certificate_counts_as_tls_has_checked_it() -> None:
    known = Authentication(certificates={"ris": Role.OPERATOR})
    found = known.identify(request("10.9.9.9", with_certificate(["ris", "ris.hospital.example"])))
    assert found is not None and found.person == Person("ris", Means.CERTIFICATE, frozenset({Role.OPERATOR}))
    assert known.identify(request("10.9.9.9", with_certificate(["other"]))) is None
    assert known.identify(request("10.9.9.9", None, ("X-Client-Certificate", "ris"))) is None


def test_without_a_login_whoever_is_here_may_do_everything() -> None:
    found = Authentication(loopback=True).identify(request("127.0.0.1", None, ("cookie", f"{COOKIE}=good")))
    assert found is not None and found.person is ANYBODY_HERE
    assert all(ANYBODY_HERE.may(role) for role in Role)
    assert ANYBODY_HERE.label == "unauthenticated (loopback)"
    assert Authentication().identify(request("127.0.0.1")) is None


@pytest.mark.parametrize("address", ["10.0.0.5", "::ffff:10.0.0.5", "fe80::1", "testclient", ""])
def test_without_a_login_only_this_machine_is_believed(address: str) -> None:
    asked = request(address)
    assert Authentication(loopback=True).identify(asked) is None
    assert "this machine" in Authentication(loopback=True).why_unknown(asked)


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "x-forwarded-anything", "X-Real-IP", "Via"])
def test_without_a_login_what_came_through_a_proxy_is_not_believed(header: str) -> None:
    asked = request("127.0.0.1", None, (header, "203.0.113.9"))
    assert Authentication(loopback=True).identify(asked) is None
    assert "proxy" in Authentication(loopback=True).why_unknown(asked)
    for here in ("127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"):
        assert Authentication(loopback=True).identify(request(here)) is not None
