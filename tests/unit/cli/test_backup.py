"""A backup of a service at work comes back as it was, on SQLite and on PostgreSQL."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers.arrivals import arrival, keep
from helpers.postgresql import PostgreSQL
from typer.testing import CliRunner

from service.cli import app
from service.composition.audit_trail import signing_heads, verified
from service.composition.storage import open_storage
from service.errors import Permanent
from service.settings import Settings
from service.store import backup as copies
from service.store.audit import DONE, Audit
from service.store.records import Records

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peers)])
def urls(request: pytest.FixtureRequest) -> Iterator[tuple[str | None, str | None]]:
    """Of the database that is backed up, and of an empty one; None for SQLite."""
    if request.param == "sqlite":
        yield None, None
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    yield server.create(), server.create()


def configured(folder: Path, url: str | None) -> Path:
    folder.mkdir()
    file = folder / "thoracle.yaml"
    told = {"data_dir": str(folder / "data")} | ({"database_url": url} if url else {})
    file.write_text(json.dumps(told))
    return file


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    return done.exit_code, done.output


def settings_of(config: Path) -> Settings:
    return Settings(**json.loads(config.read_text()))


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_it_comes_back_as_it_was(tmp_path: Path, urls: tuple[str | None, str | None]) -> None:
    here, there = configured(tmp_path / "here", urls[0]), configured(tmp_path / "there", urls[1])
    assert "there is no database" in run("backup", tmp_path / "backups", "--config", here)[1]
    settings = settings_of(here)
    spool, engine = open_storage(settings)
    path = keep(spool, Records(engine), arrival())  # type: ignore[arg-type]
    spool.save_results("job", {"study.sr.dcm": b"result"})
    (settings.data_dir / "spool" / "half.part").write_bytes(b"half")
    models = settings.data_dir / "models" / "lobes"
    models.mkdir(parents=True)
    (models / "model.onnx").write_bytes(b"a model")
    trail = Audit(engine, lambda: datetime.now(UTC))
    trail.note("ada", "promote", "lobes", DONE, version="2")
    assert signing_heads(settings, engine).sign()

    with engine.connect() as busy, busy.begin():  # the service is at work
        busy.execute(sa.text("DELETE FROM audit"))
        code, said = run("backup", tmp_path / "backups", "--config", here)
        busy.rollback()
    assert code == 0, said
    assert "3 files and the database are in" in said and "without the configuration" in said
    (folder,) = (tmp_path / "backups").iterdir()
    assert not {file for file in folder.rglob("*") if file.stat().st_mode & 0o077}
    assert list(folder.rglob("*.part")) == []
    trail.note("ada", "promote", "lobes", DONE, version="3")

    code, said = run("restore", folder, "--config", there)
    assert (code, said.strip()) == (0, "3 files and the database are back; now: thoracle serve")
    back = settings_of(there)
    spool, engine = open_storage(back)
    assert spool.read(path) == b"a"
    assert (back.data_dir / "results" / "job" / "study.sr.dcm").read_bytes() == b"result"
    assert (back.data_dir / "models" / "lobes" / "model.onnx").read_bytes() == b"a model"
    assert [one["detail"] for one in Audit(engine, lambda: datetime.now(UTC)).entries()] == [{"version": "2"}]
    assert (verified(back).broken, verified(back).signed) == ((), 1)
    assert signing_heads(back, engine).key is not None
    assert "there is a database already" in run("restore", folder, "--config", there)[1]


def test_an_older_database_comes_back_beside_what_this_host_has_signed_since(tmp_path: Path) -> None:
    """The usual disaster: the database is gone, and the rest of the data directory is there."""
    config = configured(tmp_path / "here", None)
    settings = settings_of(config)
    spool, engine = open_storage(settings)
    keep(spool, Records(engine), arrival())  # type: ignore[arg-type]
    trail = Audit(engine, lambda: datetime.now(UTC))
    trail.note("ada", "promote", "lobes", DONE)
    assert signing_heads(settings, engine).sign()
    assert run("backup", tmp_path / "backups", "--config", config)[0] == 0
    (folder,) = (tmp_path / "backups").iterdir()
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE audit_heads SET at = '2026-01-01 00:00:00.000000'"))
    trail.note("ada", "promote", "lobes", DONE)
    assert signing_heads(settings, engine).sign()
    engine.dispose()
    for file in settings.data_dir.glob("records.db*"):
        file.unlink()
    code, said = run("restore", folder, "--config", config)
    assert code == 1 and "flow.db is of another database: move it away" in said
    for file in settings.data_dir.glob("flow.db*"):
        file.unlink()
    assert run("restore", folder, "--config", config)[0] == 0
    _, engine = open_storage(settings)
    assert (verified(settings).broken, verified(settings).signed) == ((), 1)
    Audit(engine, lambda: datetime.now(UTC)).note("ada", "promote", "lobes", DONE)
    assert (settings.data_dir / "audit.head.before-restore").exists()


def test_a_restore_that_failed_can_be_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = configured(tmp_path / "here", None), configured(tmp_path / "there", None)
    models = settings_of(here).data_dir / "models" / "lobes"
    spool, engine = open_storage(settings_of(here))
    keep(spool, Records(engine), arrival())  # type: ignore[arg-type]
    models.mkdir(parents=True)
    (models / "model.onnx").write_bytes(b"a model")
    assert run("backup", tmp_path / "backups", "--config", here)[0] == 0
    (folder,) = (tmp_path / "backups").iterdir()

    def fails(*_: object) -> None:
        raise Permanent("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(copies, "copy_sqlite", fails)
        assert run("restore", folder, "--config", there)[1].strip() == "Not restored: the disk is full"
        assert run("backup", tmp_path / "more", "--config", here)[0] == 1
        assert list((tmp_path / "more").iterdir()) == [], "what is not whole leaves nothing behind"
    (settings_of(there).data_dir / "models" / "lobes" / "model.onnx").write_bytes(b"another")
    assert "there are other models already" in run("restore", folder, "--config", there)[1]
    (settings_of(there).data_dir / "models" / "lobes" / "model.onnx").write_bytes(b"a model")
    assert run("restore", folder, "--config", there)[0] == 0
    assert (settings_of(there).data_dir / "models" / "lobes").stat().st_mode & 0o777 == 0o755


def test_a_backup_names_no_file_outside_itself(tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    folder.mkdir()
    for name in ("spool/../../evil", "/etc/evil"):
        (folder / "SHA256SUMS").write_text(f"{'0' * 64}  {name}\n")
        code, said = run("restore", folder, "--config", configured(tmp_path / str(len(name)), None))
        assert code == 1 and "names files outside the backup" in said


def test_no_password_is_on_a_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[list[str], dict[str, str]]] = []

    def ran(command: list[str], env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        called.append((command, env))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(copies, "needed", lambda program: program)
    monkeypatch.setattr(subprocess, "run", ran)
    for url in ("u:secret@h:5433/d?sslmode=require", "u@h:5433/d?password=secret&sslmode=require"):
        copies.dump_postgresql(f"postgresql+psycopg://{url}", tmp_path / "dump")
    for command, environment in called:
        assert "secret" not in " ".join(command) and command[1] == "--dbname=d"
        told = {name: environment[name] for name in ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGSSLMODE")}
        assert list(told.values()) == ["h", "5433", "u", "secret", "require"]


def test_what_is_no_whole_backup_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    here, there = configured(tmp_path / "here", None), configured(tmp_path / "there", None)
    spool, engine = open_storage(settings_of(here))
    keep(spool, Records(engine), arrival())  # type: ignore[arg-type]
    assert run("backup", tmp_path / "backups", "--config", here)[0] == 0
    (folder,) = (tmp_path / "backups").iterdir()
    altered, short, other = (tmp_path / name for name in ("altered", "short", "other"))
    for copy in (altered, short):
        shutil.copytree(folder, copy)
    next(altered.rglob("*.dcm")).write_bytes(b"another image")
    next(short.rglob("*.dcm")).unlink()
    other.mkdir()
    for broken, why in (
        (altered, "1 files of"),
        (short, "are missing or not what was written"),
        (other, "is no backup, or not a whole one"),
    ):
        code, said = run("restore", broken, "--config", there)
        assert code == 1 and why in said
    assert not (tmp_path / "there" / "data").exists()
