"""Copies of databases and files while the service works on them, and back into an empty place.

Files never change once they have their name, so they are copied after the database: it names none that is not there,
but those that were purged meanwhile.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from hashlib import file_digest
from pathlib import Path

import sqlalchemy as sa

from service.errors import Permanent

SUMS = "SHA256SUMS"
_PART = ".part"


def copy_sqlite(source: Path, target: Path) -> None:
    """One moment of a database that others write to, whole or not at all. Permanent, in words, if it cannot be read.

    The copy is one file, which can be read where nothing can be written.
    """
    part = target.with_name(f"{target.name}{_PART}")
    part.unlink(missing_ok=True)
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as there,
            closing(sqlite3.connect(part)) as here,
        ):
            there.backup(here)
            here.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        part.unlink(missing_ok=True)
        raise Permanent(f"{source} cannot be copied: {error}") from error
    part.replace(target)


def dump_postgresql(url: str, target: Path) -> None:
    """One moment of a database, by PostgreSQL's own pg_dump; Permanent, in its words, if it cannot."""
    _postgresql("pg_dump", url, ["--format=custom", "--no-owner", f"--file={target}"])


def restore_postgresql(url: str, dump: Path) -> None:
    """Into an empty database, all or nothing; Permanent, in pg_restore's words, if it cannot."""
    _postgresql("pg_restore", url, ["--exit-on-error", "--single-transaction", "--no-owner", str(dump)])


def files_below(root: Path, names: Iterable[str]) -> Iterator[Path]:
    """Those that have their name, not what is half-written; relative to root."""
    for name in names:
        found = sorted((root / name).rglob("*")) if (root / name).is_dir() else [root / name]
        yield from (one.relative_to(root) for one in found if one.is_file() and not _is_part(one.relative_to(root)))


def copy_files(root: Path, target: Path, files: Iterable[Path], told: Callable[[], None]) -> int:
    """How many were gone meanwhile. told: called after each."""
    gone = 0
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy2(root / file, target / file)
        except FileNotFoundError:
            gone += 1
        told()
    return gone


def write_sums(folder: Path) -> None:
    """SHA-256 of all files, in the format of `sha256sum`."""
    lines = [f"{_digest(folder / file)}  {file.as_posix()}\n" for file in files_below(folder, ["."])]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def check_sums(folder: Path) -> list[Path]:
    """The files of a backup. Permanent, naming them, where some are missing or not what was written."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Permanent(f"{folder} is no backup, or not a whole one: {SUMS} cannot be read") from error
    named = {Path(line[66:]): line[:64] for line in lines}
    if any(file.is_absolute() or ".." in file.parts for file in named):
        raise Permanent(f"{folder / SUMS} names files outside the backup")
    wrong = [str(file) for file, digest in named.items() if not _is(folder / file, digest)]
    if wrong:
        raise Permanent(f"{len(wrong)} files of {folder} are missing or not what was written: {', '.join(wrong[:3])}")
    return list(named)


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and not path.is_symlink() and _digest(path) == digest


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _is_part(file: Path) -> bool:
    return any(part.endswith(_PART) or part.startswith(".") for part in file.parts)


_VARIABLES = {
    "options": "PGOPTIONS",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "gssencmode": "PGGSSENCMODE",
    "password": "PGPASSWORD",
}
"""Of libpq, by what they are called in the query of a URL."""


def needed(program: str) -> str:
    """Its path; Permanent, in words, if it is not installed."""
    found = shutil.which(program)
    if found is None:
        raise Permanent(f"{program} is not installed: it comes with PostgreSQL's client (postgresql-client)")
    return found


def _postgresql(program: str, url: str, options: list[str]) -> None:
    """Where and who go by the environment: a command line is for everybody to see."""
    parsed = sa.make_url(url)
    told = {"PGHOST": parsed.host, "PGPORT": parsed.port, "PGUSER": parsed.username, "PGPASSWORD": parsed.password}
    told |= {
        _VARIABLES[name]: value for name, value in parsed.query.items() if name in _VARIABLES and isinstance(value, str)
    }
    environment = os.environ | {name: str(value) for name, value in told.items() if value}
    command = [needed(program), f"--dbname={parsed.database}", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise Permanent(f"{program}: {said[-1]}")
