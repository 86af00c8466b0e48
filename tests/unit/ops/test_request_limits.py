"""Token buckets, bodies and answers to invalid requests; `endtoend/test_api_limits.py` has them over real sockets."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from helpers.logins import AUTHENTICATION, as_

from service.ops import request_limits
from service.ops.access import Operator
from service.ops.browsers import SameOrigin
from service.ops.invalid_requests import LONGEST_TEXT, MOST_ERRORS, described
from service.ops.peers import peer_of
from service.ops.request_limits import ChangeLimits, LimitBody, TokenBuckets


def test_a_bucket_is_filled_steadily_up_to_its_size() -> None:
    now_s = 0.0
    buckets = TokenBuckets(30, lambda: now_s)
    assert [buckets.take("a") for _ in range(31)] == [0.0] * 30 + [2.0]
    assert buckets.take("b") == 0, "each address has its own"
    now_s = 1.0
    assert buckets.take("a") == pytest.approx(1.0)
    now_s = 2.0
    assert buckets.take("a") == 0
    now_s = 1e6
    assert [buckets.take("a") for _ in range(31)] == [0.0] * 30 + [2.0], "it does not overflow"


def test_of_many_addresses_those_that_asked_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "MOST_PEERS", 2)
    buckets = TokenBuckets(1, lambda: 0.0)
    assert [buckets.take(peer) == 0 for peer in "abaca"] == [True, True, False, True, False]
    assert buckets.take("b") == 0, "forgotten, so full again"


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()

    @app.post("/")
    async def length(request: Request) -> int:
        return len(await request.body())

    @app.get("/")
    def ask() -> str:
        return "answer"

    return app


def test_a_body_is_read_up_to_the_limit_with_and_without_a_length(app: FastAPI) -> None:
    app.add_middleware(LimitBody, most_bytes=10)
    client = TestClient(app)

    def parts(count: int) -> Iterator[bytes]:
        yield from [b"123456"] * count

    assert client.post("/", content=b"1" * 10).json() == 10
    assert client.post("/", content=parts(1)).json() == 6
    for too_large in (b"1" * 11, parts(2)):
        answer = client.post("/", content=too_large)
        assert (answer.status_code, answer.json()["detail"]) == (413, "the body of a request has at most 10 bytes")


def test_changes_are_limited_by_person_and_those_of_nobody_apart(app: FastAPI) -> None:
    asked = TestClient(app, headers=as_("ada"))

    @app.post("/change")
    def change(by: Operator) -> str:
        return by.name

    app.state.authentication = AUTHENTICATION
    app.state.change_limits = ChangeLimits(2, lambda: 0.0)
    nobody = TestClient(app)
    assert [nobody.post("/change").status_code for _ in range(3)] == [401, 401, 429]
    assert [nobody.post("/change", headers=as_("forged")).status_code for _ in range(2)] == [429, 429]
    assert [asked.post("/change").status_code for _ in range(3)] == [200, 200, 429]
    assert asked.post("/change").headers["retry-after"] == "30"
    assert nobody.post("/change", headers=as_("operator")).status_code == 200, "each person has their own"
    assert [asked.get("/").status_code for _ in range(5)] == [200] * 5


def test_foreign_changes_and_those_that_reach_nothing_do_not_count(app: FastAPI) -> None:
    limits = ChangeLimits(1, lambda: 0.0)
    app.state.authentication, app.state.change_limits = AUTHENTICATION, limits

    @app.post("/change")
    def change(by: Operator) -> str:
        return by.name

    app.add_middleware(SameOrigin)
    client = TestClient(app, headers=as_("ada"))
    for _ in range(3):
        assert client.post("/change", headers={"Origin": "https://evil.example"}).status_code == 403
        assert client.post("/nothing").status_code == 404
        assert client.post("/change", headers=as_("viewer")).status_code == 403
    assert client.post("/change").status_code == 200


def test_an_ipv6_host_is_counted_by_its_network() -> None:
    assert peer_of("2001:db8::1") == peer_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert peer_of("2001:db8:0:1::1") != peer_of("2001:db8::1")
    assert peer_of("::ffff:10.0.0.1") == peer_of("10.0.0.1") == "10.0.0.1"
    assert peer_of("fe80::1%eth0") == "fe80::/64"
    assert (peer_of(""), peer_of("testclient")) == ("", "testclient")
    limits = ChangeLimits(1, lambda: 0.0)
    assert [limits.wait_s(None, f"2001:db8::{n}") > 0 for n in range(2)] == [False, True]


def test_errors_are_few_short_and_without_the_input() -> None:
    loc = ("body", "\ud800" + "x" * 1000, 3, *range(20))
    error = {"type": "t", "loc": loc, "msg": "m" * 1000, "input": "secret", "ctx": {"limit_value": float("inf")}}
    told = described([error] * 25)
    assert len(told) == MOST_ERRORS + 1
    assert told[-1] == {"type": "more", "loc": [], "msg": "15 more errors"}
    assert told[0].keys() == {"type", "loc", "msg"}
    assert len(told[0]["msg"]) == LONGEST_TEXT and told[0]["loc"][1].startswith("?xx") and len(told[0]["loc"]) == 10
