"""The chain of the audit trail: each row has a digest of itself and the digest before; signed heads pin it to a time.

Whoever changes, removes or inserts a row breaks the chain there. Whoever makes all digests anew contradicts the heads,
whose key is not in the database. What nobody has signed yet, the last minute, can be cut off unseen.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

NOTHING = ""
"""The digest before the first row."""

_UNKNOWN = "unknown"

PURGE, TRAIL = "purge", "audit"
"""What an entry does, and to what, that tells of older ones that retention has deleted."""


@dataclass(frozen=True, slots=True)
class Head:
    """Says that the chain up to a row was such at a time. key, signature: hexadecimal, of Ed25519."""

    number: int
    digest: str
    at: datetime
    key: str
    signature: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found. broken: where the trail is not what was written, in words; empty: nowhere.

    entries: rows that are there; signed: of them, those under a head. purged: rows that retention has deleted.
    unknown_keys: that have signed heads, and are not among the known ones.
    """

    broken: tuple[str, ...]
    entries: int
    signed: int
    purged: int
    unknown_keys: frozenset[str]


def digest_of(before: str, row: Mapping[str, Any]) -> str:
    """SHA-256, hexadecimal. before: the digest of the row before, `NOTHING` for the first."""
    told = [row["id"], row["entry"], row["at"].astimezone(UTC).isoformat(timespec="microseconds")]
    told += [row["who"], row["what"], row["subject"], row["outcome"], row["detail"]]
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def signed(key: Ed25519PrivateKey, number: int, digest: str, at: datetime) -> Head:
    """A head of the chain up to the row `number`."""
    return Head(number, digest, at, public(key), key.sign(_said(number, digest, at)).hex())


def public(key: Ed25519PrivateKey) -> str:
    """Its public key, hexadecimal."""
    return key.public_key().public_bytes_raw().hex()


def verify(rows: Iterable[Mapping[str, Any]], heads: Iterable[Head], known_keys: frozenset[str]) -> Verified:
    """Read the whole trail. rows: by id. A head of an unknown key proves nothing, and breaks nothing."""
    rows = list(rows)
    broken = list(_broken_links(rows))
    digests = {row["id"]: row["digest"] for row in rows}
    last, through, unknown = max(digests, default=0), 0, set[str]()
    for head in heads:
        when = f"the head of {head.at:%Y-%m-%d %H:%M} over entry {head.number}"
        if head.key not in known_keys:
            unknown.add(head.key)
        elif not _is_genuine(head):
            broken.append(f"{when} is not what was signed")
        elif head.number > last:
            broken.append(f"entries after {last} are missing: {when} tells of them")
        elif digests.get(head.number, head.digest) != head.digest:
            broken.append(f"{when} does not fit: entries up to there were written anew")
        else:
            through = max(through, head.number)
    purged = min(digests, default=1) - 1
    return Verified(tuple(broken), len(rows), sum(n <= through for n in digests), purged, frozenset(unknown))


def _broken_links(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Where a row does not follow from the one before."""
    number, before = 0, NOTHING
    if rows and rows[0]["id"] > 1:
        number = rows[0]["id"] - 1
        told = [row["detail"] for row in rows if (row["what"], row["subject"]) == (PURGE, TRAIL)]
        known = {one.get("through"): one.get("digest") for one in told}
        before = str(known.get(number, _UNKNOWN))
        if before == _UNKNOWN:
            yield f"{_missing(1, number)}, and no entry tells that retention deleted them"
    for row in rows:
        if row["id"] != number + 1:
            yield _missing(number + 1, row["id"] - 1)
        elif before != _UNKNOWN and row["digest"] != digest_of(before, row):
            yield f"entry {row['id']} of {row['at']:%Y-%m-%d %H:%M}, or the one before it, is not what was written"
        number, before = row["id"], row["digest"]


def _is_genuine(head: Head) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(head.key))
        key.verify(bytes.fromhex(head.signature), _said(head.number, head.digest, head.at))
    except (InvalidSignature, ValueError):
        return False
    return True


def _missing(first: int, last: int) -> str:
    return f"entry {first} is missing" if first == last else f"entries {first} to {last} are missing"


def _said(number: int, digest: str, at: datetime) -> bytes:
    moment = at.astimezone(UTC).isoformat(timespec="microseconds")
    return f"thoracle audit head\n{number}\n{digest}\n{moment}".encode()
