"""What an operator of encrypted files meets: a key that is no use, a start without it, a new one, doctor, a backup."""

import json
import os
from base64 import b64encode
from pathlib import Path

import pytest
from helpers.arrivals import arrival, keep
from typer.testing import CliRunner

from service.cli import app
from service.composition import encryption
from service.composition.storage import damaged_files, existing_storage, open_storage
from service.errors import Permanent
from service.settings import Settings, load
from service.store.master_keys import NoMasterKey
from service.store.records import Records

VARIABLE = "THORACLE_ENCRYPTION__MASTER_KEY"


def new_key() -> str:
    return b64encode(os.urandom(32)).decode()


def settings_of(data: Path, **of_encryption: object) -> Settings:
    return Settings(data_dir=data, encryption=of_encryption)  # type: ignore[arg-type]


def configured(folder: Path, **of_encryption: object) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "thoracle.yaml"
    file.write_text(json.dumps({"data_dir": str(folder / "data"), "encryption": of_encryption}))
    return file


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    return done.exit_code, done.output


def with_a_file(settings: Settings) -> str:
    spool, engine = open_storage(settings)
    path = keep(spool, Records(engine), arrival())  # type: ignore[arg-type]
    engine.dispose()
    return path


def checks(settings: Settings) -> list[tuple[bool, str]]:
    return [(one.ok, one.message) for one in encryption.check(settings)]


@pytest.mark.parametrize("key", ["", "secret", b64encode(b"k" * 31).decode(), b64encode(b"k" * 33).decode(), "ä" * 44])
def test_a_key_of_another_length_is_refused_in_words_that_tell_how_to_make_one(tmp_path: Path, key: str) -> None:
    code, said = run("serve", "--config", configured(tmp_path, master_key=key))
    assert code == 2
    assert "encryption.master_key" in said and "`openssl rand -base64 32`" in said
    assert not key or key not in said


def test_old_keys_need_a_new_one(tmp_path: Path) -> None:
    code, said = run("serve", "--config", configured(tmp_path, old_master_keys=[new_key()]))
    assert code == 2 and "the newest one is missing" in said


def test_the_key_comes_from_a_file_of_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key()
    (tmp_path / VARIABLE.lower()).write_text(f"{key}\n")
    monkeypatch.setenv("THORACLE_SECRETS", str(tmp_path))
    settings = load(None)
    assert settings.encryption.keys == Settings(encryption={"master_key": key}).encryption.keys  # type: ignore[arg-type]
    assert key not in repr(settings)


def test_a_start_without_the_key_is_refused_in_words_once_files_are_encrypted(tmp_path: Path) -> None:
    key = new_key()
    open_storage(settings_of(tmp_path / "data"))
    path = with_a_file(settings_of(tmp_path / "data", master_key=key))
    for settings in (settings_of(tmp_path / "data"), settings_of(tmp_path / "data", master_key=new_key())):
        with pytest.raises(Permanent, match=r"files of 1 studies or results are encrypted.*encryption\.master_key"):
            open_storage(settings)
        spool, _ = existing_storage(settings)
        with pytest.raises(NoMasterKey):
            spool.read(path)
    off = settings_of(tmp_path / "data", master_key=key, new_files=False)
    assert open_storage(off)[0].read(path) == b"a"


def test_nothing_changes_without_it(tmp_path: Path) -> None:
    path = with_a_file(settings_of(tmp_path / "data"))
    assert (tmp_path / "data" / path).read_bytes() == b"a"
    assert checks(settings_of(tmp_path / "data")) == [(True, "off: received images and results are not encrypted")]


def test_doctor_tells_whether_all_can_be_read(tmp_path: Path) -> None:
    key, data = new_key(), tmp_path / "data"
    assert checks(settings_of(data, master_key=key)) == [(True, "on")], "there is no database yet"
    with_a_file(settings_of(data, master_key=key))
    one = "1 keys of studies and results can be used"
    assert checks(settings_of(data, master_key=key)) == [(True, f"on; {one}")]
    off = settings_of(data, master_key=key, new_files=False)
    assert checks(off) == [(True, f"off for new files (encryption.new_files); {one}")]
    newer = settings_of(data, master_key=new_key(), old_master_keys=[key])
    assert checks(newer) == [(True, f"on; {one}; 1 wait for `thoracle rewrap`")]
    for settings in (settings_of(data), settings_of(data, master_key=new_key())):
        [(ok, message)] = checks(settings)
        assert not ok and "1 of 1 keys cannot be used" in message


def test_doctor_looks_at_the_rights_of_a_configuration_with_a_key(tmp_path: Path) -> None:
    from service.composition.doctor import _holds_a_secret

    assert _holds_a_secret(configured(tmp_path, master_key=new_key()))
    assert _holds_a_secret(configured(tmp_path, old_master_keys=[new_key()]))
    assert not _holds_a_secret(configured(tmp_path, new_files=False))


def test_rewrap_lets_the_old_key_go_and_is_in_the_audit_trail(tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    config = configured(tmp_path, master_key=old)
    settings = load(config)
    path = with_a_file(settings)
    code, said = run("rewrap", "--config", configured(tmp_path, master_key=new))
    assert code == 1 and "name the master key that wrapped them in encryption.old_master_keys" in said
    code, said = run("rewrap", "--config", configured(tmp_path, master_key=new, old_master_keys=[old]))
    assert code == 0 and said.startswith("1 keys are wrapped"), said
    assert open_storage(load(configured(tmp_path, master_key=new)))[0].read(path) == b"a"
    with pytest.raises(Permanent, match="are encrypted"):
        open_storage(settings)
    code, said = run("audit", "--config", config)
    assert "rewrap" in said and "keys 1" in said
    code, said = run("rewrap", "--config", configured(tmp_path, new_files=False))
    assert code == 1 and "openssl rand" in said


def test_a_backup_is_encrypted_and_comes_back_with_the_key_alone(tmp_path: Path) -> None:
    key = new_key()
    here, there = (configured(tmp_path / name, master_key=key) for name in ("here", "there"))
    path = with_a_file(load(here))
    code, said = run("backup", tmp_path / "backups", "--config", here)
    assert code == 0 and "without the configuration; the master key" in said, said
    (folder,) = (tmp_path / "backups").iterdir()
    assert (folder / path).read_bytes() == (tmp_path / "here" / "data" / path).read_bytes() != b"a"
    assert key.encode() not in b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert run("restore", folder, "--config", there)[0] == 0
    assert open_storage(load(there))[0].read(path) == b"a"
    with pytest.raises(Permanent, match="are encrypted"):
        open_storage(load(configured(tmp_path / "there")))


def test_a_damaged_database_is_not_to_be_made_anew_from_files_whose_keys_are_in_it(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data", master_key=new_key())
    with_a_file(settings)
    for file in (tmp_path / "data").glob("records.db-*"):
        file.unlink()
    (tmp_path / "data" / "records.db").write_bytes(b"no database at all " * 1000)
    [damage] = damaged_files(settings)
    assert "the keys of encrypted files are in it" in damage and "move it away" not in damage
    [unknown] = damaged_files(settings_of(tmp_path / "data"))
    assert "where files are encrypted their keys are in it" in unknown, "an operator's shell may lack the master key"
    assert "move it away" in unknown


def test_a_backup_without_the_key_at_hand_still_names_it(tmp_path: Path) -> None:
    with_a_file(load(configured(tmp_path, master_key=new_key())))
    code, said = run("backup", tmp_path / "backups", "--config", configured(tmp_path))
    assert code == 0 and "where files are encrypted, the master key" in " ".join(said.split()), said


def test_doctor_tells_where_copies_of_encrypted_files_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(tmp_path / "data", master_key=new_key())
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\ntmpfs {tmp_path}/in\\040memory tmpfs rw 0 0\n")
    monkeypatch.setattr(encryption, "_MOUNTS", mounts)
    for folder, words in (("on disk", "is on a disk"), ("in memory", "is in memory")):
        (tmp_path / folder).mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / folder))
        [check] = encryption.check_copies(settings)
        assert check.ok and words in check.message
    assert list(encryption.check_copies(settings_of(tmp_path / "data"))) == []


def test_doctor_goes_on_where_the_database_fails_at_the_last_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> int:
        raise OSError("the database fails")

    settings = settings_of(tmp_path / "data", master_key=new_key())
    with_a_file(settings)
    monkeypatch.setattr("service.store.file_keys.FileKeys.of_older_masters", fails)
    assert checks(settings) == [(True, "on; its keys could not be looked at")]
