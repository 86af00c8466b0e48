"""The chain of the audit trail: each row has a digest of itself and the digest before; signed heads pin it to a time.

Whoever changes, removes or inserts a row breaks the chain there. Whoever makes all digests anew contradicts the heads,
which follow from each other too, and whose key is not in the database. Retention signs what it deletes.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NOTHING = ""
"""The digest before the first row, and the signature before the first head."""

BEGUN = "begun"
PURGE, TRAIL = "purge", "audit"
"""What an entry does, and to what, that tells of older ones that retention has deleted."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it is stored. text: of its detail, in JSON, as the database has it."""

    id: int
    entry: int
    at: datetime
    who: str
    what: str
    subject: str
    outcome: str
    detail: Any
    text: str
    digest: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that nobody has written so. why: the kind of the error."""

    id: int
    why: str


@dataclass(frozen=True, slots=True)
class Head:
    """Says that the chain up to a row was such at a time. before: the signature of the head before.

    key, signature: hexadecimal, of Ed25519.
    """

    number: int
    digest: str
    at: datetime
    before: str
    key: str
    signature: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found. broken: where the trail is not what was written, in words; empty: nowhere.

    rows: that are there; signed: of them, those under a head of a known key. purged: rows that retention has deleted.
    unknown_keys: that have signed, and are not among the known ones.
    """

    broken: tuple[str, ...]
    rows: int
    signed: int
    purged: int
    unknown_keys: frozenset[str]


def digest_of(before: str, row: Mapping[str, Any]) -> str:
    """SHA-256, hexadecimal. before: the digest of the row before, `NOTHING` for the first."""
    told = [row["id"], row["entry"], _moment(row["at"])]
    told += [row["who"], row["what"], row["subject"], row["outcome"], row["detail"]]
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def signed(key: Ed25519PrivateKey, number: int, digest: str, at: datetime, before: str) -> Head:
    """A head of the chain up to the row `number`."""
    own = public(key)
    return Head(number, digest, at, before, own, key.sign(_said(number, digest, at, before)).hex())


def purged(key: Ed25519PrivateKey, through: int, digest: str) -> dict[str, Any]:
    """The detail of an entry that tells that all rows up to one were deleted. digest: of that row."""
    signature = key.sign(_said_of_purge(through, digest)).hex()
    return {"through": through, "digest": digest, "key": public(key), "signature": signature}


def public(key: Ed25519PrivateKey) -> str:
    """Its public key, hexadecimal."""
    return key.public_key().public_bytes_raw().hex()


def verify(
    rows: Iterable[Row | Unreadable],
    heads: Iterable[Head],
    purges: Iterable[Any],
    known_keys: frozenset[str],
    last_signed: str | None = None,
) -> Verified:
    """Read the whole trail once.

    rows: by id, read after the heads. heads: in their order. purges: details of such rows. last_signed: signature of
    the last head that was signed here, as it was kept outside the database. A head of an unknown key proves nothing,
    and breaks nothing.
    """
    heads = list(heads)
    reading = _Reading(known_keys, list(purges), {head.number: head.digest for head in heads})
    broken = list(reading.broken(rows))
    before, through = NOTHING, 0
    for head in heads:
        when = f"the head of {head.at:%Y-%m-%d %H:%M} over entry {head.number}"
        if head.before != before:
            broken.append(f"heads before {when} are missing")
        before = head.signature
        if head.key not in known_keys:
            reading.unknown_keys.add(head.key)
        elif not _is_genuine(head.key, head.signature, _said(head.number, head.digest, head.at, head.before)):
            broken.append(f"{when} is not what was signed")
        elif head.number > reading.last:
            broken.append(f"entries after {reading.last} are missing: {when} tells of them")
        elif reading.found.get(head.number, head.digest) != head.digest:
            broken.append(f"{when} does not fit: entries up to there were written anew")
        else:
            through = max(through, head.number)
    if last_signed is not None and all(head.signature != last_signed for head in heads):
        broken.append("the last head that was signed here is missing: heads, and what they signed, were removed")
    under = max(0, through - reading.first + 1) if reading.rows else 0
    return Verified(
        tuple(broken), reading.rows, min(under, reading.rows), reading.first - 1, frozenset(reading.unknown_keys)
    )


class _Reading:
    """One pass over the rows. first, last: ids; found: digests of rows that heads sign."""

    def __init__(self, known_keys: frozenset[str], purges: list[Any], wanted: Mapping[int, str]) -> None:
        self._known_keys, self._purges, self._wanted = known_keys, purges, wanted
        self.rows, self.first, self.last = 0, 1, 0
        self.found: dict[int, str] = {}
        self.unknown_keys: set[str] = set()
        self._open: dict[int, tuple[str, str, str]] = {}

    def broken(self, rows: Iterable[Row | Unreadable]) -> Iterator[str]:
        """Where a row does not follow from the one before."""
        before: str | None = NOTHING
        for row in rows:
            if not self.rows and row.id > 1:
                self.first, self.last = row.id, row.id - 1
                before = self._told_digest(self.last)
                if before is None:
                    strange = ", but a key did that is not known here" if self.unknown_keys else ""
                    yield f"{_missing(1, self.last)}, and retention did not sign that it deleted them{strange}"
            self.rows += 1
            if row.id != self.last + 1:
                yield _missing(self.last + 1, row.id - 1)
                before = None
            self.last = row.id
            if isinstance(row, Unreadable):
                yield f"entry {row.id} cannot be read ({row.why})"
                before = None
                continue
            if row.id in self._wanted:
                self.found[row.id] = row.digest
            follows = before is None or row.digest == digest_of(before, _told(row))
            if not follows or row.text != json.dumps(row.detail):
                yield f"entry {row.id} of {row.at:%Y-%m-%d %H:%M}, or the one before it, is not what was written"
            before = row.digest
            yield from self._misfit(row)

    def _told_digest(self, through: int) -> str | None:
        """What the row had that retention deleted last; None where nobody who may has said so."""
        for detail in self._purges:
            if not isinstance(detail, Mapping) or detail.get("through") != through:
                continue
            key, digest, signature = (str(detail.get(name, "")) for name in ("key", "digest", "signature"))
            if key not in self._known_keys:
                self.unknown_keys.add(key)
            elif _is_genuine(key, signature, _said_of_purge(through, digest)):
                return digest
        return None

    def _misfit(self, row: Row) -> Iterator[str]:
        """A row that completes an entry is about the same, and comes once."""
        if row.entry == row.id:
            if row.outcome == BEGUN:
                self._open[row.id] = (row.who, row.what, row.subject)
            return
        began = self._open.pop(row.entry, None)
        if row.entry > row.id or (began is None and row.entry >= self.first):
            yield f"entry {row.id} completes entry {row.entry}, which is not open"
        elif began is not None and began != (row.who, row.what, row.subject):
            yield f"entry {row.id} tells otherwise than entry {row.entry}, which it completes"


def _told(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("id", "entry", "at", "who", "what", "subject", "outcome", "detail")}


def _is_genuine(key: str, signature: str, said: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), said)
    except (InvalidSignature, ValueError):
        return False
    return True


def _missing(first: int, last: int) -> str:
    return f"entry {first} is missing" if first == last else f"entries {first} to {last} are missing"


def _said(number: int, digest: str, at: datetime, before: str) -> bytes:
    return f"thoracle audit head\n{number}\n{digest}\n{_moment(at)}\n{before}".encode()


def _said_of_purge(through: int, digest: str) -> bytes:
    return f"thoracle audit purge\n{through}\n{digest}".encode()


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
