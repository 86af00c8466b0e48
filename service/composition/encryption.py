"""Encryption of files as an operator sees it: whether it is on, whether all can be read, and a new master key."""

from collections.abc import Iterator

from sqlalchemy.exc import SQLAlchemyError

from service.composition.audit_trail import audit
from service.composition.storage import existing_storage, file_keys, has_database
from service.errors import Permanent
from service.ops.doctor import Check
from service.settings import Settings

_NAME = "encryption"


def check(settings: Settings) -> Iterator[Check]:
    """Whether files are encrypted, and all of them can be read; a database that is away has a check of its own."""
    ours = settings.encryption
    state = "off: received images and results are not encrypted"
    if ours.master_key is not None:
        state = "on" if ours.new_files else "off for new files (encryption.new_files)"
    try:
        keys = file_keys(settings, existing_storage(settings)[1]) if has_database(settings) else None
        known, unusable, waiting = (keys.count(), keys.unusable(), keys.of_older_masters()) if keys else (0, 0, 0)
    except (Permanent, SQLAlchemyError, OSError):
        yield Check(_NAME, True, f"{state}; its keys could not be looked at")
        return
    if unusable:
        why = "their master key is not configured, or they were changed"
        yield Check(_NAME, False, f"{unusable} of {known} keys cannot be used, nor the files be read: {why}")
        return
    old = f"; {waiting} wait for `thoracle rewrap`" if waiting else ""
    yield Check(_NAME, True, f"{state}; {known} keys of studies and results can be used{old}" if known else state)


def rewrap(settings: Settings, by: str) -> int:
    """Wrap all keys of files by the newest master key; how many were wrapped by another. Permanent if one cannot be."""
    if settings.encryption.master_key is None:
        raise Permanent("no master key is configured: encryption.master_key, made with `openssl rand -base64 32`")
    keys = file_keys(settings, existing_storage(settings)[1])
    if lost := keys.unusable():
        raise Permanent(
            f"{lost} keys of files cannot be used: name the master key that wrapped them in encryption.old_master_keys"
        )
    with audit(settings).entry(by, "rewrap", "encryption") as detail:
        detail["keys"] = keys.rewrap()
    return int(detail["keys"])
