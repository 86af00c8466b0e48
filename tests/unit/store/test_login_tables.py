"""Accounts, sessions, tokens and failed logins, on SQLite and PostgreSQL."""

import contextlib
import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from service.domain.login import AttemptLimits, Flow, Means, Person, Role, SessionLimits
from service.errors import Permanent, Transient
from service.store import login_flows as flows
from service.store.api_tokens import PREFIX, ApiTokens
from service.store.login_attempts import LoginAttempts
from service.store.login_flows import LoginFlows
from service.store.secrets import csrf_of
from service.store.sessions import Sessions
from service.store.users import NoSuchUser, Users

PASSWORD = "correct horse battery"
VIEWER, ADMIN = frozenset({Role.VIEWER}), frozenset({Role.ADMIN})
LIMITS = SessionLimits(timedelta(minutes=30), timedelta(hours=12))
KIM = Person("kim", Means.OPENID, VIEWER)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 2, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def move(self, **by: float) -> None:
        self.at += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def users(engine: sa.Engine, clock: Clock) -> Users:
    return Users(engine, clock)


@pytest.fixture
def sessions(engine: sa.Engine, clock: Clock) -> Sessions:
    return Sessions(engine, LIMITS, clock)


@pytest.fixture
def tokens(engine: sa.Engine, clock: Clock) -> ApiTokens:
    return ApiTokens(engine, clock)


def everything(engine: sa.Engine) -> str:
    """All that the tables of the login hold, as text."""
    names = ("users", "sessions", "api_tokens", "login_attempts", "login_flows")
    with engine.connect() as connection:
        return str([connection.execute(sa.text(f"SELECT * FROM {name}")).all() for name in names])


def test_a_password_is_known_and_not_kept(users: Users, engine: sa.Engine, clock: Clock) -> None:
    users.add("ada", PASSWORD, ADMIN)
    found = users.check("ada", PASSWORD)
    assert found is not None and found[0] == Person("ada", Means.ACCOUNT, ADMIN)
    for name, password in (
        ("ada", PASSWORD + " "),
        ("ada", ""),
        ("kim", PASSWORD),
        ("ada", "x" * 10_000),
        ("ADA", PASSWORD),
    ):
        assert users.check(name, password) is None, name
    assert PASSWORD not in everything(engine) and "$argon2id$" in everything(engine)
    (row,) = users.everybody()
    assert (row["name"], row["roles"], row["login_at"], "password" in row) == ("ada", ["admin"], clock.at, False)


@pytest.mark.parametrize("password", ["", "short", "x" * 11, "x" * 257, "\ud800" * 20])
def test_a_password_that_is_no_use_is_refused(users: Users, password: str) -> None:
    with pytest.raises(Permanent, match="a password"):
        users.add("ada", password, VIEWER)
    assert users.everybody() == []


def test_an_account_is_made_once_and_one_that_is_not_there_is_named(users: Users) -> None:
    users.add("ada", PASSWORD, VIEWER)
    with pytest.raises(Permanent, match="there is an account ada already"):
        users.add("ada", PASSWORD, ADMIN)
    for change in (
        lambda: users.remove("kim"),
        lambda: users.set_roles("kim", VIEWER),
        lambda: users.set_password("kim", PASSWORD),
    ):
        with pytest.raises(NoSuchUser, match="there is no account kim"):
            change()


def test_a_session_has_the_accounts_roles_of_now_and_ends_with_it(users: Users, sessions: Sessions) -> None:
    users.add("ada", PASSWORD, VIEWER)
    found = users.check("ada", PASSWORD)
    assert found is not None
    ada, basis = found
    secret = sessions.begin(ada, basis=basis)
    users.set_roles("ada", ADMIN)
    assert sessions.find(secret) == Person("ada", Means.ACCOUNT, ADMIN)
    users.set_password("ada", PASSWORD + "!")
    assert sessions.find(secret) is None, "another password ends the sessions"
    assert sessions.find(sessions.begin(ada, basis=basis)) is None, "it was changed before the session began"
    found = users.check("ada", PASSWORD + "!")
    assert found is not None
    secret = sessions.begin(*found[:1], basis=found[1])
    assert sessions.find(secret) is not None
    users.remove("ada")
    assert sessions.find(secret) is None
    users.add("ada", PASSWORD, ADMIN)
    assert sessions.find(secret) is None, "another account of the same name is another person"


@pytest.mark.parametrize("change", ["password", "account"])
def test_an_account_that_is_changed_while_its_password_is_checked_lets_nobody_in(
    users: Users, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    users.add("ada", PASSWORD, VIEWER)
    verified = users._hasher.verify

    def changed_meanwhile(*of: str) -> bool:
        users.remove("ada") if change == "account" else users.set_password("ada", PASSWORD + "!")
        return verified(*of)

    monkeypatch.setattr(users._hasher, "verify", changed_meanwhile)
    assert users.check("ada", PASSWORD) is None


def test_an_unknown_name_costs_what_a_known_one_costs_and_few_wait(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    users.add("ada", PASSWORD, VIEWER)
    looked_at: list[str] = []
    monkeypatch.setattr(users._hasher, "hash", lambda _: pytest.fail("an unknown name is not hashed beside the places"))

    def verify(_: str, hashed: str) -> bool:
        looked_at.append(hashed)
        return False

    monkeypatch.setattr(users._hasher, "verify", verify)
    for name in ("ada", "kim"):
        users.check(name, PASSWORD)
    known, unknown = (hashed.split("$")[:4] for hashed in looked_at)
    assert known == unknown, "the same algorithm, memory and passes"
    with contextlib.ExitStack() as all_wait:
        while users._here.acquire(blocking=False):
            all_wait.callback(users._here.release)
        began = time.monotonic()
        with pytest.raises(Transient, match="too many"):
            users.check("ada", PASSWORD)
        assert time.monotonic() - began < 1, "refused at once, not after a wait"


def test_openid_roles_end_with_the_configuration_that_gave_them(engine: sa.Engine, clock: Clock) -> None:
    of_now = Sessions(engine, LIMITS, clock, "digest of issuer and groups")
    secret = of_now.begin(KIM)
    assert of_now.find(secret) == KIM
    for other in ("digest of others", ""):
        assert Sessions(engine, LIMITS, clock, other).find(secret) is None


def test_an_openid_user_is_not_the_account_of_the_same_name(users: Users, sessions: Sessions) -> None:
    users.add("kim", PASSWORD, ADMIN)
    secret = sessions.begin(KIM)
    assert sessions.find(secret) == KIM
    users.remove("kim")
    assert sessions.find(secret) == KIM


def test_a_session_ends_when_it_is_idle_when_it_is_old_and_at_logout(sessions: Sessions, clock: Clock) -> None:
    idle = sessions.begin(KIM)
    clock.move(minutes=29)
    assert sessions.find(idle) == KIM
    clock.move(minutes=29)
    assert sessions.find(idle) == KIM, "it was asked in between"
    clock.move(minutes=30)
    assert sessions.find(idle) is None
    old = sessions.begin(KIM)
    for _ in range(25):
        clock.move(minutes=28)
        assert sessions.find(old) == KIM
    clock.move(minutes=20)
    assert sessions.find(old) is None
    ended = sessions.begin(KIM)
    sessions.end(ended)
    assert sessions.find(ended) is None
    assert sessions.count() == 0


def test_a_clock_that_goes_back_ends_a_session(sessions: Sessions, clock: Clock) -> None:
    secret = sessions.begin(KIM)
    clock.move(minutes=-1)
    assert sessions.find(secret) is None


def test_each_login_begins_another_session_and_ends_the_one_before(sessions: Sessions, engine: sa.Engine) -> None:
    before = sessions.begin(KIM)
    after = sessions.begin(KIM, before)
    assert after != before
    assert sessions.find(before) is None
    assert sessions.find(after) == KIM
    chosen = sessions.begin(KIM, "chosen by an attacker")
    assert sessions.find("chosen by an attacker") is None
    assert after not in everything(engine) and csrf_of(after) not in everything(engine)
    assert sessions.find(chosen + "x") is None


def test_all_sessions_of_a_name_are_ended_at_once(sessions: Sessions) -> None:
    mine = [sessions.begin(KIM) for _ in range(3)]
    other = sessions.begin(Person("ada", Means.OPENID, VIEWER))
    assert sessions.end_all("kim") == 3
    assert [sessions.find(one) for one in mine] == [None] * 3
    assert sessions.find(other) is not None


def test_sessions_that_are_over_are_deleted(sessions: Sessions, clock: Clock) -> None:
    for _ in range(3):
        sessions.begin(KIM)
    clock.move(hours=1)
    sessions.begin(KIM)
    assert sessions.count() == 1


def test_a_token_works_until_it_ends_or_is_revoked(tokens: ApiTokens, clock: Clock, engine: sa.Engine) -> None:
    token = tokens.add("ris", {Role.OPERATOR}, timedelta(days=30), "root@host")
    ris = Person("ris", Means.TOKEN, frozenset({Role.OPERATOR}))
    assert token.startswith(PREFIX) and len(token) > 40
    assert tokens.find(token, "10.0.0.1") == ris
    assert token not in everything(engine) and token.removeprefix(PREFIX) not in everything(engine)
    for forged in (token[:-1], token + "x", "", PREFIX, token.upper(), "\ud800"):
        assert tokens.find(forged, "10.0.0.1") is None
    clock.move(days=29)
    assert tokens.find(token, "10.0.0.2") == ris
    (row,) = tokens.all()
    assert (row["used_from"], row["used_at"], row["made_by"]) == ("10.0.0.2", clock.at, "root@host")
    clock.move(days=1)
    assert (tokens.find(token, "10.0.0.1"), tokens.working()) == (None, 0), "it is over"
    other = tokens.add("pacs", VIEWER, timedelta(days=1), "root@host")
    assert tokens.working() == 1
    tokens.revoke("pacs")
    assert tokens.working() == 0
    assert tokens.find(other, "10.0.0.1") is None
    for wrong in ("pacs", "nobody"):
        with pytest.raises(Permanent, match=f"there is no token {wrong}"):
            tokens.revoke(wrong)
    with pytest.raises(Permanent, match="there is or was a token pacs"):
        tokens.add("pacs", ADMIN, timedelta(days=1), "root@host")


def test_who_guesses_is_refused_before_the_password_is_looked_at(engine: sa.Engine, clock: Clock) -> None:
    attempts = LoginAttempts(engine, clock, AttemptLimits(of_name=3, of_address=5))
    assert [attempts.begin("ada", f"10.0.0.{n}") for n in range(3)] == [0.0] * 3
    assert attempts.begin("ada", "10.0.0.9") == 15 * 60, "of one name, from anywhere"
    assert [attempts.begin(f"user{n}", "10.0.1.1") for n in range(5)] == [0.0] * 5
    assert attempts.begin("kim", "10.0.1.1") > 0, "of one address, by any name"
    assert attempts.begin("kim", "10.0.1.2") == 0.0
    clock.move(minutes=15)
    assert attempts.begin("ada", "10.0.0.9") == 0.0
    assert "ada" not in everything(engine), "a password may be typed as a name"


def test_a_login_that_succeeds_forgets_the_failures_of_its_name_alone(engine: sa.Engine, clock: Clock) -> None:
    attempts = LoginAttempts(engine, clock, AttemptLimits(of_name=2, of_address=5))
    attempts.begin("ada", "10.0.0.1")
    attempts.begin("kim", "10.0.0.1")
    attempts.begin("kim", "10.0.0.1")
    attempts.succeeded("ada")
    assert attempts.begin("ada", "10.0.0.2") == 0.0
    assert attempts.begin("kim", "10.0.0.2") > 0


def test_an_attempt_that_was_not_looked_at_is_forgotten_alone(engine: sa.Engine, clock: Clock) -> None:
    attempts = LoginAttempts(engine, clock, AttemptLimits(of_name=2, of_address=5))
    attempts.begin("ada", "10.0.0.1")
    for _ in range(5):
        assert attempts.begin("ada", "10.0.0.2") == 0.0
        attempts.withdraw("ada", "10.0.0.2")
    attempts.begin("ada", "10.0.0.2")
    assert attempts.begin("ada", "10.0.0.2") > 0


def test_a_login_under_way_is_finished_once_and_in_time(
    engine: sa.Engine, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, flow = LoginFlows(engine, clock), Flow("state", "nonce", "verifier")
    under_way.keep(flow)
    assert under_way.take("other") is None
    assert under_way.take("state") == flow
    assert under_way.take("state") is None
    under_way.keep(flow)
    clock.move(minutes=10)
    assert under_way.take("state") is None
    monkeypatch.setattr(flows, "MOST", 2)
    for number in range(2):
        under_way.keep(Flow(f"s{number}", "n", "v"))
        clock.move(seconds=1)
    under_way.keep(Flow("s3", "n", "v"))
    assert under_way.take("s0") is None, "the oldest is forgotten"
    assert under_way.take("s1") and under_way.take("s3")
