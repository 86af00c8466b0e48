"""Backs up what the settings name, while it runs, and brings it back into an empty place."""

import filecmp
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from service.composition.storage import audit_head, audit_key, create_data_dir, database, has_database
from service.errors import Permanent
from service.inference.repository_files import make_folder, unchanged
from service.settings import Settings, own_repository
from service.store import backup as copies
from service.store.names import RECEIVED, RESULTS

_DUMP = "database.dump"
_DATABASE, _FLOW = "records.db", "flow.db"
_KEY, _HEAD = "audit.key", "audit.head"
_MODELS = "models"

Told = Callable[[int, int], None]
"""Called with how many files are copied, of how many."""


@dataclass(frozen=True, slots=True)
class Made:
    """files: copied; gone: purged while they were. without: what is kept elsewhere, in words."""

    folder: Path
    files: int
    gone: int
    without: tuple[str, ...]


def backup(settings: Settings, into: Path, told: Told = lambda _done, _of: None) -> Made:
    """A folder of its own in `into`, whole or with another name. Permanent, in words, if something cannot be copied."""
    if not has_database(settings):
        raise Permanent(f"there is no database: nothing has run with the data directory {settings.data_dir}")
    if settings.database_url:
        copies.needed("pg_dump")
    folder = into / f"thoracle-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    part = folder.with_name(f"{folder.name}.part")
    part.mkdir(parents=True, mode=0o700)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, part, ignore_errors=True)  # gone where it has its name by then
        files, gone = _copy_all(settings, part, told)
        copies.write_sums(part)
        os.sync()
        part.rename(folder)
    bucket = f"images and results: they are in {settings.bucket.url}" if settings.bucket else ""
    master = "the master key, without which its images and results are unreadable"
    if not settings.encryption.keys:  # a shell may lack the credential that the service has
        master = f"where files are encrypted, {master}"
    return Made(folder, files - gone, gone, tuple(filter(None, ["the configuration", master, bucket])))


def _copy_all(settings: Settings, part: Path, told: Told) -> tuple[int, int]:
    """How many files there were, and how many of them were purged meanwhile."""
    _copy(audit_key(settings), part / _KEY)
    _copy(audit_head(settings), part / _HEAD)  # before the database: it is never the newer one
    source = database(settings, _DATABASE)
    if isinstance(source, Path):
        copies.copy_sqlite(source, part / _DATABASE)
    else:
        copies.dump_postgresql(source, part / _DUMP)
    files = list(copies.files_below(settings.data_dir, () if settings.bucket else (RECEIVED, RESULTS)))
    models = own_repository(settings)
    with unchanged(models):
        of_models = list(copies.files_below(models, ["."])) if models.is_dir() else []
        one_more = _counter(told, len(files) + len(of_models))
        if copies.copy_files(models, part / _MODELS, of_models, one_more):
            raise Permanent(f"models were removed from {models} meanwhile: try again")
    gone = copies.copy_files(settings.data_dir, part, files, one_more)
    return len(files) + len(of_models), gone


def _counter(told: Told, every: int) -> Callable[[], None]:
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        told(done, every)

    return one_more


def restore(settings: Settings, folder: Path, told: Told = lambda _done, _of: None) -> int:
    """How many files came back. Permanent, in words, if something is there already, or the backup is not whole."""
    names = copies.check_sums(folder)
    kind = _DUMP if settings.database_url else _DATABASE
    if Path(kind) not in names:
        other = "SQLite" if settings.database_url else "PostgreSQL"
        raise Permanent(f"{folder} is of a service on {other}, and the settings name the other kind of database")
    if has_database(settings):
        raise Permanent(f"there is a database already in {_place(settings)}: a backup goes where there is none")
    if settings.database_url:
        copies.needed("pg_restore")
    models = [file for file in names if file.parts[0] == _MODELS]
    files = [file for file in names if file.parts[0] in (RECEIVED, RESULTS)]
    _refuse_others(settings, folder, models, files)
    create_data_dir(settings, with_databases=False)
    one_more = _counter(told, len(files) + len(models))
    copies.copy_files(folder, settings.data_dir, files, one_more)
    inside = [file.relative_to(_MODELS) for file in models]
    for parent in {file.parent for file in inside}:
        make_folder(own_repository(settings) / parent)
    copies.copy_files(folder / _MODELS, own_repository(settings), inside, one_more)
    if Path(_KEY) in names:
        _copy(folder / _KEY, audit_key(settings))
    _replace_head(folder / _HEAD if Path(_HEAD) in names else None, audit_head(settings))
    target = database(settings, _DATABASE)
    if isinstance(target, Path):  # last: without it nothing else counts
        copies.copy_sqlite(folder / _DATABASE, target)
    else:
        copies.restore_postgresql(target, folder / _DUMP)
    os.sync()
    return len(files) + len(models)


def _refuse_others(settings: Settings, folder: Path, models: Sequence[Path], files: Sequence[Path]) -> None:
    """Permanent where something else lies in the way; what a restore has left that did not end is no hindrance."""
    own = own_repository(settings)
    for file in models:
        there = own / file.relative_to(_MODELS)
        if there.exists() and not filecmp.cmp(there, folder / file, shallow=False):
            raise Permanent(f"there are other models already in {own}: move them away")
    flow = settings.data_dir / _FLOW
    if flow.exists() and not settings.database_url:
        raise Permanent(f"{flow} is of another database: move it away with its -wal and -shm files")
    if files and settings.bucket:
        raise Permanent(f"{folder} holds images, and the settings name a bucket, where they would be looked for")


def _replace_head(of_backup: Path | None, head: Path) -> None:
    """What this host has signed since the backup is not in the database that comes back."""
    wanted = None if of_backup is None else of_backup.read_bytes()
    if head.exists() and head.read_bytes() != wanted:  # a second try leaves the one of before alone
        head.replace(head.with_name(f"{head.name}.before-restore"))
    if of_backup is not None:
        _copy(of_backup, head)


def _copy(source: Path, target: Path) -> None:
    """Copies a file if it is there, and never over another."""
    if source.exists() and not target.exists():
        target.write_bytes(source.read_bytes())


def _place(settings: Settings) -> str:
    return "database_url" if settings.database_url else str(settings.data_dir)
