"""Opens the storage that the settings name: the data directory or the bucket, the database, the locks."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from service.domain.ports import Spool
from service.errors import Permanent
from service.settings import Settings
from service.store.encryption import PLAIN, Encryption
from service.store.engine import database_engine, in_words, with_tls
from service.store.file_keys import FileKeys
from service.store.file_locks import FileLocks
from service.store.integrity import why_unusable
from service.store.liveness import Locks, locks
from service.store.master_keys import MasterKeys
from service.store.migrations import schemas, upgrade
from service.store.object_spool import ObjectSpool
from service.store.s3 import s3_store
from service.store.spool import PRIVATE_FOLDER
from service.store.spool import Spool as DiskSpool

_ADVICE = {
    "records.db": "Restore it from a backup: where files are encrypted their keys are in it, and without them nobody "
    "can read the images and results in the spool. If there is no backup, move it away with its -wal and -shm files, "
    "and audit.head: then all studies in the spool whose files are not encrypted are recorded, analysed and delivered "
    "again, and what was known of earlier jobs is gone",
    "flow.db": "Move it away with its -wal and -shm files: it is made again from records.db",
}
DATABASES = tuple(_ADVICE)
"""Files of SQLite in the data directory."""

PRIVATE_FILE = 0o600
"""Rights of a database file: the service's user alone."""

_KEYS_ARE_IN_IT = (
    "Restore it from a backup: the keys of encrypted files are in it, and without them nobody can read the images and "
    "results in the spool"
)

_LEAVE_IT = (
    "Leave it where it is, it may be whole. Look at the rights of the file and its folder, at the free space, and "
    "whether the disk is read-only or another program holds the file"
)


def open_storage(settings: Settings, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> tuple[Spool, sa.Engine]:
    """The spool and the database, created and migrated: any process may be the first to start.

    Permanent, in words, if files are encrypted and the master key is missing.
    """
    create_data_dir(settings)
    engine = database_engine(database(settings, "records.db"), synchronous)
    upgrade(engine)
    if why := why_not_decrypted(settings, engine):
        raise Permanent(why)
    return spool_of(settings, engine), engine


def existing_storage(settings: Settings) -> tuple[Spool, sa.Engine]:
    """Returns the spool and the database as they are: nothing is created or migrated.

    Permanent, in words, if there is no database, if this user may not use it, or if its schema is another version's.
    """
    path = database(settings, "records.db")
    if isinstance(path, Path):
        _check_usable(path)
    engine = database_engine(path)
    found, newest = schemas(engine)
    if found is None:
        raise Permanent(_no_database("PostgreSQL" if settings.database_url else settings.data_dir.absolute()))
    if found != newest:
        raise Permanent(
            f"the database has schema {found}, and this version needs {newest}: `thoracle migrate`, or the start of "
            "the service, brings it up"
        )
    return spool_of(settings, engine), engine


def file_keys(settings: Settings, engine: sa.Engine) -> FileKeys:
    """The keys of encrypted files, as far as the configured master keys wrap them."""
    return FileKeys(engine, MasterKeys(settings.encryption.keys))


def why_not_decrypted(settings: Settings, engine: sa.Engine) -> str:
    """Says why encrypted files cannot be read with these settings; "" if they can. OSError if the database fails."""
    lost = file_keys(settings, engine).foreign()
    if not lost:
        return ""
    return (
        f"files of {lost} studies or results are encrypted, and the master key that they need is not configured: set "
        "encryption.master_key, or name it in encryption.old_master_keys"
    )


def spool_of(settings: Settings, engine: sa.Engine) -> Spool:
    """The spool on this database, which has the keys of its files where they are encrypted."""
    keys = file_keys(settings, engine)
    ours = settings.encryption
    used = ours.master_key is not None or keys.count() > 0
    how = Encryption(keys, ours.master_key is not None and ours.new_files) if used else PLAIN
    return bucket(settings, how) or DiskSpool(settings.data_dir, how)


def has_database(settings: Settings) -> bool:
    """Returns whether the service has a database already; SQLAlchemyError if it cannot be asked."""
    path = database(settings, "records.db")
    if isinstance(path, Path):
        return path.exists()
    return schemas(database_engine(path))[0] is not None


def migrate(settings: Settings) -> tuple[str | None, str]:
    """Bring the tables to this version's schema; the schema before, None if there was none, and now.

    Permanent if a newer version made them.
    """
    if settings.database_url is None:
        create_data_dir(settings)
    return upgrade(database_engine(database(settings, "records.db")))


def bucket(settings: Settings, encryption: Encryption = PLAIN) -> ObjectSpool | None:
    """The S3 bucket, if one is configured."""
    if settings.bucket is None:
        return None
    ours = settings.bucket
    return ObjectSpool(s3_store(ours.url, ours.endpoint, ours.region, ca=ours.tls.ca if ours.tls else None), encryption)


def database(settings: Settings, file: str) -> str | Path:
    """PostgreSQL holds everything in one database, SQLite each in a file."""
    if settings.database_url is None:
        return settings.data_dir / file
    url = settings.database_url.get_secret_value()
    return with_tls(url, settings.database_tls.files) if settings.database_tls else url


def audit_key(settings: Settings) -> Path:
    """The file of the key that signs the audit trail."""
    return settings.audit.signing_key or settings.data_dir / "audit.key"


def audit_head(settings: Settings) -> Path:
    """The file that remembers the last head of the audit trail that this host has signed."""
    return settings.data_dir / "audit.head"


def database_health(engine: sa.Engine) -> str:
    """ "ok", or what is wrong."""
    try:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
    except sa.exc.SQLAlchemyError as error:
        return in_words(error)
    return "ok"


def damaged_files(settings: Settings) -> Iterator[str]:
    """What is wrong with the files of the SQLite databases, and what to do; reads all of them."""
    if settings.database_url is not None:
        return
    for name, advice in _ADVICE.items():
        if wrong := why_unusable(settings.data_dir / name):
            encrypted = settings.encryption.master_key is not None and name == "records.db"
            what_to_do = _KEYS_ARE_IN_IT if encrypted else advice
            yield f"{wrong.why}. {what_to_do if wrong.damaged else _LEAVE_IT}"


def database_wrong(settings: Settings) -> str | None:
    """What is wrong with the configured database, None if nothing is; it is not migrated."""
    try:
        health = database_health(database_engine(database(settings, "records.db")))
    except Permanent as error:
        return str(error)
    return None if health == "ok" else health


def shared_locks(settings: Settings, engine: sa.Engine) -> Locks:
    """The locks that all hosts of this service see."""
    return locks(engine, _run_dir(settings))


def host_locks(settings: Settings) -> FileLocks:
    """The locks of this host alone."""
    return FileLocks(_run_dir(settings))


def metrics_dir(settings: Settings) -> Path:
    """Where the processes count, for the API to add up."""
    return _run_dir(settings) / "metrics"


def watchdog_dir(settings: Settings) -> Path:
    """Where a worker that cannot look any more leaves what it was at."""
    return _run_dir(settings) / "watchdog"


def create_data_dir(settings: Settings, with_databases: bool = True) -> None:
    """Create the data directory and the SQLite files so that other users of this machine cannot read them.

    What is there already keeps its rights, and the umask may take more away.
    """
    settings.data_dir.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    if settings.database_url is None and with_databases:
        for name in _ADVICE:  # SQLite gives the files beside a database the same rights
            with suppress(FileExistsError):
                os.close(os.open(settings.data_dir / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))


def _check_usable(path: Path) -> None:
    """Permanent if there is no such file, or this user may not read and write it."""
    try:
        there = path.exists()
    except PermissionError:
        there = True
    if not there:
        raise Permanent(_no_database(path.parent.absolute()))
    if not os.access(path, os.R_OK | os.W_OK):
        raise Permanent(f"this user may not use the database {path}: run the command as the user of the service")


def _no_database(where: Path | str) -> str:
    return (
        f"there is no Thoracle database in {where}: name the service's configuration with --config (or THORACLE_CONFIG)"
        ", or start the service once"
    )


def _run_dir(settings: Settings) -> Path:
    return settings.data_dir / "run"
