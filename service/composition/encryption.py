"""Encryption of files as an operator sees it: whether it is on, whether all can be read, and a new master key."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from service.composition.audit_trail import audit
from service.composition.storage import existing_storage, file_keys, has_database
from service.errors import Permanent
from service.ops.doctor import Check
from service.settings import Settings

_NAME = "encryption"
_MOUNTS = Path("/proc/self/mounts")
_IN_MEMORY = ("tmpfs", "ramfs")


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


def check_copies(settings: Settings) -> Iterator[Check]:
    """Where copies of encrypted files lie in the clear while they are read: TMPDIR of this command."""
    if settings.encryption.master_key is None:
        return
    folder = Path(tempfile.gettempdir()).resolve()
    if _file_system(folder) in _IN_MEMORY:
        yield Check("copies", True, f"TMPDIR ({folder}) is in memory, if the service has the same")
        return
    why = "workers read copies of encrypted files there, in the clear: put TMPDIR of the service into memory (tmpfs)"
    yield Check("copies", True, f"TMPDIR ({folder}) is on a disk, if the service has the same; {why}")


def _file_system(folder: Path) -> str:
    """The kind of file system that a folder is on; "" if the kernel does not tell (proc_mounts(5))."""
    kinds = {}
    with suppress(OSError):
        for line in _MOUNTS.read_text(encoding="utf-8").splitlines():
            _, mounted, kind, *_ = line.split(" ")
            kinds[Path(mounted.replace("\\040", " "))] = kind
    return next((kinds[above] for above in (folder, *folder.parents) if above in kinds), "")


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
