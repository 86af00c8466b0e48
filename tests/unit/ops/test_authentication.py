"""Who asks: nothing that a caller could type himself is believed."""

from ipaddress import ip_network
from typing import Any

import pytest
from helpers.logins import EVERYBODY
from starlette.requests import Request

from service.domain.login import ANYBODY_HERE, Means, Person, Role
from service.ops.authentication import COOKIE, Authentication, TrustedProxy, with_certificate

ADA = Person("ada", Means.ACCOUNT, frozenset({Role.ADMIN}))
PROXY = TrustedProxy([ip_network("10.0.0.5/32")], "X-User", "X-Groups", {"radiologists": Role.REVIEWER})


class Sessions:
    """Knows one session."""

    def find(self, secret: str) -> Person | None:
        return ADA if secret == "good" else None


def request(address: str = "10.9.9.9", state: dict[str, Any] | None = None, *headers: tuple[str, str]) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    return Request({"type": "http", "headers": raw, "client": (address, 1), "state": state or {}})


def test_a_token_is_believed_and_decides_alone() -> None:
    known = Authentication(tokens=EVERYBODY, sessions=Sessions(), means=[Means.ACCOUNT], proxy=PROXY, loopback=True)
    session = "cookie", f"{COOKIE}=good"
    found = known.identify(request("10.9.9.9", None, ("Authorization", "Bearer viewer"), session))
    assert found is not None and (found.person.name, found.csrf) == ("viewer", None)
    for wrong in ("Bearer forged", "Basic viewer", "viewer", "Bearer", ""):
        assert known.identify(request("10.0.0.5", None, ("Authorization", wrong), session, ("X-User", "kim"))) is None
    twice = ("Authorization", "Bearer viewer"), ("Authorization", "Bearer admin")
    assert known.identify(request("10.9.9.9", None, *twice)) is None


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
