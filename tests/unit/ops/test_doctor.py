import socket
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydicom.uid import JPEG2000Lossless

from service.errors import Permanent
from service.imaging import codestream
from service.ops.doctor import (
    check_answer,
    check_decoders,
    check_folder,
    check_models,
    check_port,
    check_rights,
    check_time_zone,
)


def test_folder_is_checked_by_writing_to_it(tmp_path: Path) -> None:
    (good,) = check_folder(tmp_path / "not" / "yet", min_free_gb=0)
    assert good.ok
    assert list(tmp_path.iterdir()) == [], "the check leaves nothing behind"
    (full,) = check_folder(tmp_path, min_free_gb=1e9)
    assert not full.ok
    assert "GB free" in full.message
    file = tmp_path / "file"
    file.touch()
    (wrong,) = check_folder(file, 0)
    assert not wrong.ok


def test_the_time_zone_is_named_and_utc_is_not_taken_for_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    here = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Asia/Kolkata"))
    site, container = check_time_zone(here), check_time_zone(here.astimezone(UTC))
    assert site.ok and site.message.startswith("it is 2026-07-01 12:00+05:30 (IST); ")
    assert container.ok and container.message.startswith("it is 2026-07-01 06:30+00:00 (UTC); ")
    assert "TZ" in container.message and "TZ" not in site.message
    monkeypatch.setenv("TZ", "Europe/Berln")
    misspelt = check_time_zone(here)
    assert not misspelt.ok and misspelt.message.startswith("TZ is 'Europe/Berln'")


def test_port_in_use_is_named_unless_it_is_ours() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not check_port("receiver", "127.0.0.1", port, ours=False).ok
        assert check_port("receiver", "127.0.0.1", port, ours=True).ok
    assert check_port("receiver", "127.0.0.1", port, ours=False).ok


def test_a_compression_without_its_decoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_decoders().ok
    monkeypatch.setattr(codestream, "decoding_plugin", lambda syntax: "gone" if syntax == JPEG2000Lossless else "")
    missing = check_decoders()
    assert not missing.ok
    assert missing.message == "no decoder for JPEG 2000 Image Compression (Lossless Only)"


def test_a_model_that_is_missing_or_broken_is_named() -> None:
    good, missing = check_models(lambda: {"lobes": "1"}, ("lobes", "lung-opacity"))
    assert (good.ok, missing.ok) == (True, False)
    assert "lung-opacity" in missing.name
    _, more = check_models(lambda: {"lungs": "1", "lobes": "2"}, ("lobes",))
    assert (more.name, more.ok, more.message) == ("model lungs", True, "1"), "installed by the site"

    def broken() -> dict[str, str]:
        raise Permanent("model.onnx has another digest")

    (wrong,) = check_models(broken, ("lobes",))
    assert (wrong.ok, wrong.message) == (False, "model.onnx has another digest")


def test_destination_tells_why_it_does_not_answer() -> None:
    assert check_answer("pacs", "PACS@host:104", lambda: None).ok
    assert "refused" in check_answer("pacs", "PACS@host:104", lambda: "connection refused").message


def test_patient_data_is_for_the_user_and_secrets_for_its_group_at_most(tmp_path: Path) -> None:
    patients, secret = tmp_path / "data", tmp_path / "thoracle.yaml"
    patients.mkdir(0o700)
    secret.touch(0o640)
    assert check_rights([patients, tmp_path / "gone"], [secret]).ok
    patients.chmod(0o750)
    secret.chmod(0o644)
    told = check_rights([patients], [secret])
    assert not told.ok
    assert f"chmod go-rwx {patients}" in told.message and f"chmod o-rwx {secret}" in told.message
