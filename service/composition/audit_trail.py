"""Builds the audit trail from the settings, and verifies it."""

from datetime import UTC, datetime
from functools import partial

import sqlalchemy as sa

from service.composition.storage import audit_head, audit_key, existing_storage, has_database, open_storage
from service.errors import Permanent
from service.settings import Settings
from service.store.audit import DENIED, Audit
from service.store.audit_chain import Verified, public
from service.store.audit_heads import AuditHeads, existing_key, signing_key

now = partial(datetime.now, UTC)


def audit(settings: Settings) -> Audit:
    """Returns the audit trail. Permanent if the service has no database yet."""
    _, engine = existing_storage(settings)
    return Audit(engine, now)


def new_audit(settings: Settings) -> Audit:
    """Returns the audit trail; the database is created if there is none."""
    _, engine = open_storage(settings)
    return Audit(engine, now)


def note_denial(settings: Settings, by: str, what: str, subject: str, why: str) -> None:
    """Write a refused change into the audit trail, where there is one: a refusal creates none."""
    if has_database(settings):
        new_audit(settings).note(by, what, subject, DENIED, why=why)


def signing_heads(settings: Settings, engine: sa.Engine) -> AuditHeads:
    """Returns what signs the trail on this host. Its key is made if there is none; Permanent if it cannot be used."""
    return AuditHeads(engine, signing_key(audit_key(settings)), audit_head(settings), now)


def public_key(settings: Settings) -> str:
    """Returns the public key of this host, hexadecimal; Permanent if there is no key yet, or if it cannot be read."""
    path = audit_key(settings)
    key = existing_key(path)
    if key is None:
        raise Permanent(f"there is no key {path} yet: the first worker makes it when it starts")
    return public(key)


def verified(settings: Settings) -> Verified:
    """Read the whole trail. Permanent if the service has no database yet, or the key of this host is no use."""
    _, engine = existing_storage(settings)
    own = existing_key(audit_key(settings))
    known = {*settings.audit.public_keys, *([public(own)] if own else [])}
    return AuditHeads(engine, None, audit_head(settings), now).verify(known)


def in_words(found: Verified) -> str:
    """What was found, in a sentence or several."""
    told = list(found.broken) or [f"{found.rows} rows follow from each other, {found.signed} of them are signed"]
    if found.purged and not found.broken:
        told.append(f"retention has deleted {found.purged} before them")
    if found.unknown_keys:
        keys = ", ".join(sorted(found.unknown_keys))
        told.append(f"some were signed by a key that is not known here: if it is yours, `audit.public_keys: [{keys}]`")
    return "; ".join(told)
