"""The audit trail is what was written: every change of a row, by whoever owns the database, is found and named."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from helpers.databases import open_database

from service.errors import Permanent
from service.store.audit import DONE, Audit
from service.store.audit_chain import NOTHING, Verified, digest_of, public, purged
from service.store.audit_heads import AuditHeads, existing_key, signing_key
from service.store.tables import audit, audit_heads

BEGAN = datetime(2026, 3, 2, 23, 59, 59, 123456, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


class Trail:
    """A trail with a clock."""

    def __init__(self, engine: sa.Engine, folder: Path) -> None:
        self.engine, self.now = engine, BEGAN
        self.audit = Audit(engine, lambda: self.now)
        self.last = folder / "audit.head"
        self.heads = AuditHeads(engine, KEY, self.last, lambda: self.now)

    def write(self, count: int = 1) -> None:
        for number in range(count):
            self.now += timedelta(minutes=2)
            self.audit.note("ada@host", "promote", "lobes", DONE, version=str(number), share=0.1, of={"a": [1, None]})

    def verified(self, known: frozenset[str] = frozenset({public(KEY)})) -> Verified:
        return self.heads.verify(known)

    def execute(self, statement: sa.Executable) -> None:
        with self.engine.begin() as connection:
            connection.execute(statement)

    def rows(self) -> list[dict[str, Any]]:
        with self.engine.begin() as connection:
            return [dict(row) for row in connection.execute(sa.select(audit).order_by(audit.c.id)).mappings()]


@pytest.fixture
def trail(engine: sa.Engine, tmp_path: Path) -> Trail:
    return Trail(engine, tmp_path)


def test_a_trail_follows_from_its_first_entry(trail: Trail) -> None:
    assert trail.verified() == Verified((), 0, 0, 0, frozenset())
    with trail.audit.entry("ada", "retry", "a job", of="ä\0\ud800") as detail:
        trail.write(2)
        detail["more"] = 1.5e300
    assert [(row["id"], row["entry"], row["outcome"]) for row in trail.rows()] == [
        (1, 1, "begun"),
        (2, 2, "done"),
        (3, 3, "done"),
        (4, 1, "done"),
    ]
    assert [one["entry"] for one in trail.audit.entries()] == [3, 2, 1]
    assert trail.verified() == Verified((), 4, 0, 0, frozenset())
    assert trail.heads.sign() and not trail.heads.sign()
    trail.write(2)
    assert trail.verified() == Verified((), 6, 4, 0, frozenset())
    assert trail.heads.sign()
    assert trail.verified().signed == 6


def test_the_end_is_signed_once_a_minute_at_most(trail: Trail) -> None:
    trail.write()
    assert trail.heads.sign()
    trail.audit.note("ada", "retry", "a job", DONE)
    trail.now += timedelta(seconds=59)
    assert not trail.heads.sign()
    trail.now += timedelta(seconds=1)
    assert trail.heads.sign()
    assert not AuditHeads(trail.engine, None, trail.last, lambda: BEGAN).sign()


def test_no_head_of_others_and_no_wrong_clock_ends_the_signing(trail: Trail) -> None:
    trail.write()
    assert trail.heads.sign()
    stranger = AuditHeads(trail.engine, Ed25519PrivateKey.generate(), trail.last.with_name("theirs"), lambda: trail.now)
    trail.now += timedelta(days=4000)
    trail.write()
    assert stranger.sign() and trail.heads.sign()
    trail.now = BEGAN + timedelta(hours=1)
    trail.write()
    assert trail.heads.sign()
    assert (trail.verified().broken, trail.verified().signed) == ((), 3)


WHERE = audit.c.id == 3
CHANGES: dict[str, tuple[Callable[[], sa.Executable], str]] = {
    "who": (lambda: sa.update(audit).where(WHERE).values(who="eve"), "entry 3 of 2026-03-03 00:05, or the one before"),
    "when": (lambda: sa.update(audit).where(WHERE).values(at=BEGAN), "entry 3 of 2026-03-02 23:59, or the one before"),
    "outcome": (lambda: sa.update(audit).where(WHERE).values(outcome="refused"), "entry 3"),
    "detail": (lambda: sa.update(audit).where(WHERE).values(detail={}), "entry 3"),
    "entry": (lambda: sa.update(audit).where(WHERE).values(entry=2), "entry 3"),
    "digest": (lambda: sa.update(audit).where(WHERE).values(digest="0" * 64), "entry 3"),
    "removed": (lambda: sa.delete(audit).where(WHERE), "entry 3 is missing"),
    "removed at the beginning": (
        lambda: sa.delete(audit).where(audit.c.id <= 3),
        "entries 1 to 3 are missing, and retention did not sign that it deleted them",
    ),
    "removed at the end": (
        lambda: sa.delete(audit).where(audit.c.id >= 4),
        "entries after 3 are missing: the head of 2026-03-03 00:09 over entry 5 tells of them",
    ),
    "all removed": (lambda: sa.delete(audit), "entries after 0 are missing"),
    "head": (
        lambda: sa.update(audit_heads).values(number=4),
        "the head of 2026-03-03 00:09 over entry 4 is not what was signed",
    ),
    "head's time": (lambda: sa.update(audit_heads).values(at=BEGAN), "is not what was signed"),
    "a name twice": (
        lambda: sa.text("""UPDATE audit SET detail = '{"version": "9", "version": "2"}' WHERE id = 3"""),
        "entry 3",
    ),
    "no JSON": (lambda: sa.text("UPDATE audit SET detail = '[1]' WHERE id = 3"), "entry 3"),
    "signature": (lambda: sa.update(audit_heads).values(signature="no"), "is not what was signed"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_every_change_is_found_and_named(trail: Trail, what: str) -> None:
    trail.write(5)
    trail.heads.sign()
    change, said = CHANGES[what]
    trail.execute(change())
    assert said in trail.verified().broken[0]
    trail.write(7)
    trail.heads.sign()
    assert trail.verified().broken, "and nothing that comes later hides it"


def test_who_makes_all_digests_anew_contradicts_the_heads(trail: Trail) -> None:
    trail.write(5)
    trail.heads.sign()
    before = NOTHING
    for row in trail.rows():
        row["who"] = "eve"
        before = digest_of(before, row)
        trail.execute(sa.update(audit).where(audit.c.id == row["id"]).values(who="eve", digest=before))
    assert trail.verified().broken == (
        "the head of 2026-03-03 00:09 over entry 5 does not fit: entries up to there were written anew",
    )


def test_a_head_of_another_key_proves_nothing_and_is_told(trail: Trail) -> None:
    trail.write(2)
    AuditHeads(trail.engine, Ed25519PrivateKey.generate(), trail.last, lambda: trail.now).sign()
    found = trail.verified()
    assert (found.broken, found.signed, len(found.unknown_keys)) == ((), 0, 1)
    assert trail.verified(found.unknown_keys).signed == 2


def test_rows_and_heads_that_go_together_are_missed(trail: Trail) -> None:
    trail.write(2)
    trail.heads.sign()
    trail.write(2)
    trail.heads.sign()
    said = "the last head that was signed here is missing: heads, and what they signed, were removed"
    trail.execute(sa.delete(audit).where(audit.c.id > 2))
    trail.execute(sa.delete(audit_heads).where(audit_heads.c.number > 2))
    assert trail.verified().broken == (said,)
    trail.write(3)
    assert not trail.heads.sign(), "who removed it gets no new one for what is left"
    for table in (audit, audit_heads):
        trail.execute(sa.delete(table))
    assert trail.verified().broken == (said,)


def test_heads_follow_from_each_other(trail: Trail) -> None:
    for _ in range(3):
        trail.write()
        trail.heads.sign()
    trail.execute(sa.delete(audit_heads).where(audit_heads.c.number == 2))
    (said,) = trail.verified().broken
    assert said.startswith("heads before the head of") and said.endswith("over entry 3 are missing")


def test_nobody_tells_otherwise_of_an_old_entry(trail: Trail) -> None:
    trail.write(2)
    trail.heads.sign()
    said = {"at": BEGAN, "who": "bob", "what": "promote", "subject": "lobes", "outcome": DONE, "detail": {}}
    for number, entry, why in (
        (3, 2, "entry 3 completes entry 2, which is not open"),
        (3, 9, "entry 3 completes entry 9, which is not open"),
    ):
        row = {"id": number, "entry": entry, **said}
        row["digest"] = digest_of(trail.rows()[1]["digest"], row)
        trail.execute(sa.insert(audit).values(row))
        assert trail.verified().broken == (why,)
        trail.execute(sa.delete(audit).where(audit.c.id == 3))
    with pytest.raises(KeyboardInterrupt), trail.audit.entry("ada", "retry", "a job"):
        raise KeyboardInterrupt
    row = {"id": 4, "entry": 3, **said}
    row["digest"] = digest_of(trail.rows()[2]["digest"], row)
    trail.execute(sa.insert(audit).values(row))
    assert trail.verified().broken == ("entry 4 tells otherwise than entry 3, which it completes",)
    assert (trail.audit.entries()[0]["who"], trail.audit.entries()[0]["what"]) == ("ada", "retry")


def test_only_who_has_the_key_deletes_the_oldest(trail: Trail) -> None:
    trail.write(3)
    trail.heads.sign()
    digest = trail.rows()[1]["digest"]
    for forged in (
        {"through": 2, "digest": digest},
        purged(Ed25519PrivateKey.generate(), 2, digest),
        [1],
        {"through": [2]},
    ):
        trail.audit.note("retention", "purge", "audit", DONE)
        trail.execute(sa.update(audit).where(audit.c.id > 3).values(detail=forged))
    trail.execute(sa.delete(audit).where(audit.c.id <= 2))
    assert "entries 1 to 2 are missing, and retention did not sign that it deleted them" in trail.verified().broken


def test_a_row_that_cannot_be_read_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    """On SQLite: PostgreSQL takes nothing of another type."""
    trail = Trail(open_database(tmp_path / "records.db"), tmp_path)
    trail.write(5)
    trail.execute(sa.text("UPDATE audit SET at = 'yesterday' WHERE id = 2"))
    trail.execute(sa.text("UPDATE audit SET detail = '{' WHERE id = 4"))
    trail.execute(sa.text("UPDATE audit SET who = x'00ff' WHERE id = 5"))
    assert trail.verified().broken == (
        "entry 2 cannot be read (ValueError)",
        "entry 4 cannot be read (JSONDecodeError)",
        "entry 5 cannot be read (TypeError)",
    )
    trail.heads.sign()
    trail.execute(sa.text("UPDATE audit_heads SET at = 'yesterday'"))
    with pytest.raises(Permanent, match="a head of the audit trail cannot be read"):
        trail.verified()


def test_retention_deletes_the_oldest_days_and_says_so(trail: Trail) -> None:
    trail.write(3)
    trail.heads.sign()
    trail.now += timedelta(days=30)
    trail.write(2)
    assert trail.audit.forget(BEGAN + timedelta(hours=12), KEY) == 0, "not a day's worth"
    assert trail.audit.forget(BEGAN + timedelta(days=2), KEY) == 3
    assert trail.audit.forget(BEGAN + timedelta(days=2), KEY) == 0
    found = trail.verified()
    assert (found.broken, found.rows, found.purged) == ((), 3, 3)
    (told,) = [one for one in trail.audit.entries() if one["what"] == "purge"]
    assert (told["who"], told["detail"]["through"]) == ("retention", 3)
    trail.now += timedelta(days=60)
    trail.write()
    assert trail.audit.forget(trail.now - timedelta(days=30), KEY) == 3, "what told of the first time goes too"
    trail.heads.sign()
    found = trail.verified()
    assert (found.broken, found.purged, found.signed) == ((), 6, 2)
    trail.execute(sa.delete(audit).where(audit.c.id == 7))
    assert "entries 1 to 7 are missing, and retention did not sign" in trail.verified().broken[0]


def test_rows_of_many_threads_form_one_chain(trail: Trail) -> None:
    threads = [threading.Thread(target=trail.write, args=(10,)) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert trail.verified() == Verified((), 60, 0, 0, frozenset())


def test_the_key_is_made_once_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    assert existing_key(path) is None
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(public(signing_key(path)))) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(made) == 8 and len(set(made)) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["audit.key"]
    for content in (b"", b"no key"):
        path.write_bytes(content)
        with pytest.raises(Permanent, match="holds no Ed25519 key"):
            signing_key(path)
