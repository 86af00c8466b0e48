"""Who may have an association: AE title, address and certificate together."""

import re
from ipaddress import ip_network

import pytest

from service.network.association_request import AssociationRequest, Refused
from service.network.callers import EVERYTHING, Asking, Caller, Callers, place_of
from service.network.rights import Right

KNOWN = {
    "CT1": Caller([ip_network("10.1.2.3/32")], ["ct1.example"]),
    "CT*": Caller([ip_network("10.1.2.0/24"), ip_network("fd00::/8")], may=frozenset({Right.STORE})),
}


def asking(calling_ae: str, host: str, *names: str) -> Asking:
    return Asking(host, AssociationRequest("THORACLE", calling_ae, b""), frozenset(names))


def callers(known: dict[str, Caller] | None) -> Callers:
    return Callers(known, "", 20, 16)


@pytest.mark.parametrize(
    ("who", "may"),
    [
        (asking("CT1", "10.1.2.3", "ct1.example", "other"), EVERYTHING),
        (asking("CT1", "::ffff:10.1.2.3", "ct1.example"), EVERYTHING),
        (asking("CT2", "10.1.2.9"), {Right.STORE}),
        (asking("CT2", "fd00::7%eth0"), {Right.STORE}),
    ],
)
def test_who_is_known_is_let_in_and_may_what_it_may(who: Asking, may: frozenset[Right]) -> None:
    known = callers(KNOWN)
    assert known.refused(who) is None
    assert known.may(who) == may


@pytest.mark.parametrize(
    ("who", "why"),
    [
        (asking("CT1", "10.1.2.4", "ct1.example"), "`addresses`"),
        (asking("CT1", "10.1.2.3"), "its certificate's name \\(nobody\\)"),
        (asking("CT1", "10.1.2.3", "ct2.example"), "its certificate's name \\(ct2.example\\)"),
        (asking("CT2", "10.1.3.1"), "`addresses`"),
        (asking("CT2", "fe80::1"), "`addresses`"),
        (asking("ct1", "10.1.2.3", "ct1.example"), "no entry"),
        (asking("MR", "10.1.2.3", "ct1.example"), "no entry"),
        (asking("", "10.1.2.3"), "no entry"),
    ],
)
def test_a_name_alone_proves_nothing(who: Asking, why: str) -> None:
    known = callers(KNOWN)
    refused, words = known.refused(who) or (None, "")
    assert refused is Refused.CALLING_AE
    assert re.search(why, words)
    assert known.may(who) == frozenset()


def test_where_nobody_is_named_everybody_may_everything() -> None:
    assert callers(None).refused(asking("X", "192.0.2.1")) is None
    assert callers(None).may(asking("X", "2001:db8::1")) == EVERYTHING


def test_where_nobody_may_call_nobody_does() -> None:
    assert callers({}).refused(asking("X", "127.0.0.1")) is not None


def test_an_ipv6_host_counts_by_its_network() -> None:
    assert place_of("2001:db8::1") == place_of("2001:db8::2") != place_of("2001:db8:0:1::1")
    assert place_of("::ffff:10.1.2.3") == place_of("10.1.2.3")
