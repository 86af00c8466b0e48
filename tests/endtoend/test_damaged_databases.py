"""Damaged database files: named at the start with what to do, and what that advice leads to."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from helpers import make_ct
from helpers.dicom_peers import free_port, wait_until
from helpers.running_service import AET, RunningService
from pydicom import dcmread

from demo.pacs import StandInPacs
from service.network.answers import StoreAnswer
from service.network.peer import DicomNode
from service.network.send import send


def overwrite_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle:] = b"\xa5" * (len(content) - middle)
    path.write_bytes(content)


def write_something_else(path: Path) -> None:
    path.write_text("patient list\n" * 1000)


def thoracle(command: str, config: Path) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "service", command, "--config", str(config)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300, env=os.environ | {"COLUMNS": "1000"})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> RunningService:
    """A service that has run once on this data, and stopped."""
    with RunningService(tmp_path_factory.mktemp("served"), None) as service:
        pass
    return service


@pytest.mark.parametrize(
    ("name", "damage", "advice"),
    [
        (
            "records.db",
            overwrite_the_middle,
            "Restore it from a backup: where files are encrypted their keys are in it",
        ),
        ("flow.db", write_something_else, "Move it away"),
    ],
)
def test_a_damaged_file_ends_it_at_once_with_one_sentence(
    served: RunningService, name: str, damage: Callable[[Path], None], advice: str
) -> None:
    path = served.folder / "data" / name
    with closing(sqlite3.connect(path)) as connection:  # what is still in the -wal file would be read in place of it
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    good = path.read_bytes()
    damage(path)
    try:
        ended, examined = thoracle("serve", served.config), thoracle("doctor", served.config)
    finally:
        path.write_bytes(good)
    assert ended.returncode == 1
    assert f"{path} is damaged: " in ended.stderr
    assert advice in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(json.loads(ended.stderr.splitlines()[0])["event"].splitlines()) == 1
    assert examined.returncode == 1
    assert f"FAIL databases: {path} is damaged: " in examined.stdout


def test_what_cannot_be_opened_is_not_to_be_thrown_away(served: RunningService) -> None:
    path = served.folder / "data" / "records.db"
    away = path.rename(path.with_name("away"))
    path.mkdir()
    try:
        ended, examined = thoracle("serve", served.config), thoracle("doctor", served.config)
    finally:
        path.rmdir()
        away.rename(path)
    assert (ended.returncode, examined.returncode) == (1, 1)
    for said in (ended.stderr, examined.stdout):
        assert f"{path} cannot be opened: unable to open database file. Leave it where it is" in said
        assert "ove it away" not in said
        assert "Restore" not in said


def test_the_advice_leads_to_every_study_delivered_and_none_twice(tmp_path: Path) -> None:
    """records.db moved away: read again from the spool. flow.db moved away: queued again from records.db."""
    port = free_port()
    pacs_settings = {"ae_title": "PACS", "host": "127.0.0.1", "port": port, "notice": True, "retry_delays_s": [1]}
    studies = [make_ct.write(make_ct.make(study=n).datasets[:10], tmp_path / n) for n in ("one", "two")]
    with RunningService(tmp_path / "ai", None, destinations={"pacs": pacs_settings}) as service:
        node = DicomNode("service", AET, "127.0.0.1", service.port, "CT1")
        assert {o.status for o in send(node, [file for study in studies for file in study])} == {StoreAnswer.SUCCESS}
        wait_until(lambda: [j["state"] for j in service.jobs()] == ["refused"] * 2, 240)

        def restart_without(name: str) -> None:
            service.stop()
            for file in (service.folder / "data").glob(f"{name}*"):
                file.rename(tmp_path / file.name)
            service.start()

        restart_without("flow.db")
        with StandInPacs(tmp_path / "pacs", "PACS", port) as pacs:
            wait_until(lambda: len(pacs.received) == 4, 240)
            before = {dcmread(path).SOPInstanceUID for path in pacs.received}
            restart_without("records.db")
            wait_until(lambda: len(pacs.received) == 8, 240)
            wait_until(lambda: [j["state"] for j in service.jobs()] == ["refused"] * 2, 240)
            assert {dcmread(path).SOPInstanceUID for path in pacs.received} == before, "the same objects once more"
        assert "20 files in the spool had no record yet: recorded" in service.log()
