"""A disk that is full or read-only: the sender is told, nothing acknowledged is lost, and it ends by itself."""

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import make_ct
from helpers.dicom_peers import free_port, wait_until
from helpers.receiving import Receiving
from helpers.running_service import AET, RunningService
from helpers.small_disk import SmallDisk
from pydicom import dcmread

from demo.pacs import StandInPacs
from service.network.answers import StoreAnswer
from service.network.peer import DicomNode
from service.network.send import send

MB = 1_000_000
# The worker tries again after 60 s, the engine after 30 s more; on a busy machine each step takes seconds.
A_WHILE_S = 400


def ct(folder: Path, study: str) -> list[Path]:
    """Ten slices, too few to be analysed: the study ends `refused`, with a notice."""
    return make_ct.write(make_ct.make(study=study).datasets[:10], folder / study)


def statuses(node: DicomNode, files: list[Path]) -> set[int | None]:
    return {outcome.status for outcome in send(node, files)}


def node(service: RunningService) -> DicomNode:
    return DicomNode("service", AET, "127.0.0.1", service.port, "CT1")


def disk_says(service: RunningService) -> str:
    """What /readyz has to say of the disk, ready or not; "" while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{service.http_port}/readyz", timeout=30) as answer:
            return str(json.load(answer)["components"]["disk"])
    except urllib.error.HTTPError as error:
        return str(json.load(error)["components"]["disk"])
    except OSError:
        return ""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with SmallDisk(tmp_path / "disk", 96 * MB) as disk:
        yield disk


def test_a_disk_that_fills_up_under_the_whole_service(tmp_path: Path, disk: SmallDisk) -> None:
    begun, waiting, new = (ct(tmp_path, name) for name in ("begun", "waiting", "new"))
    port = free_port()
    pacs_settings: dict[str, Any] = {"ae_title": "PACS", "host": "127.0.0.1", "port": port, "notice": True}
    with (
        StandInPacs(tmp_path / "pacs", "PACS", port) as pacs,
        RunningService(
            tmp_path / "ai",
            None,
            data_dir=str(disk.folder / "data"),
            receiver={"min_free_gb": 0.02, "resume_free_gb": 0.04, "quiet_s": 15},
            destinations={"pacs": pacs_settings | {"retry_delays_s": [1]}},
        ) as service,
    ):
        assert statuses(node(service), begun[:5] + waiting) == {StoreAnswer.SUCCESS}
        disk.fill(leave_bytes=30 * MB)
        wait_until(lambda: disk_says(service).startswith("warning: 0.0 GB are free"))
        disk.fill(leave_bytes=15 * MB)
        wait_until(lambda: "nearly full" in disk_says(service))
        assert 'thoracle_receiver_refusing{cause="disk"} 1.0' in service.metrics()
        assert statuses(node(service), new) == {StoreAnswer.OUT_OF_RESOURCES}
        assert statuses(node(service), begun[5:]) == {StoreAnswer.SUCCESS}, "a study that has begun is finished"
        disk.fill()
        wait_until(lambda: "cannot be written: No space left on device" in disk_says(service))
        assert statuses(node(service), begun) == {StoreAnswer.OUT_OF_RESOURCES}
        wait_until(lambda: "database or disk is full" in service.log(), A_WHILE_S)
        assert list(disk.folder.rglob("*.part")) == []

        disk.clear()
        wait_until(lambda: disk_says(service) == "ok")
        assert statuses(node(service), new) == {StoreAnswer.SUCCESS}
        wait_until(lambda: [j["state"] for j in service.jobs()] == ["refused"] * 3, A_WHILE_S)
        wait_until(lambda: len(pacs.received) == 6, A_WHILE_S)
        uids = {dcmread(path).SOPInstanceUID for path in pacs.received}
        assert len(uids) == 6, "a page and an SR for each study, none of them twice"
        assert service.log().count("new studies are refused: ") == 1, "told once, not for each slice"


def test_results_that_find_no_room_are_made_again_and_a_spool_that_is_read_only_takes_nothing(tmp_path: Path) -> None:
    first, second = ct(tmp_path, "first"), ct(tmp_path, "second")
    data = tmp_path / "data"
    with (
        SmallDisk(data / "spool", 32 * MB) as spool,
        SmallDisk(data / "results", 4096) as results,
        RunningService(tmp_path / "ai", None, data_dir=str(data), receiver={"min_free_gb": 0}) as service,
    ):
        assert statuses(node(service), first) == {StoreAnswer.SUCCESS}
        wait_until(lambda: "attempt 1 failed: [Errno 28] No space left on device" in service.log(), A_WHILE_S)
        assert list(results.folder.iterdir()) == [], "nothing half-written is left"
        results.resize(16 * MB)

        spool.read_only()
        assert statuses(node(service), second) == {StoreAnswer.OUT_OF_RESOURCES}
        assert disk_says(service) == f"{spool.folder} cannot be written: Read-only file system"
        assert "images are refused, they cannot be kept: Read-only file system" in service.log()
        spool.read_only(False)
        assert disk_says(service) == "ok"
        assert statuses(node(service), second) == {StoreAnswer.SUCCESS}
        wait_until(lambda: [j["state"] for j in service.jobs()] == ["refused"] * 2, A_WHILE_S)
        assert len(list(results.folder.glob("*/result.json"))) == 2


def test_a_full_disk_without_any_watermark_acknowledges_only_what_is_kept(tmp_path: Path, disk: SmallDisk) -> None:
    files = ct(tmp_path, "S")
    with Receiving(disk.folder / "data") as receiver:
        disk.fill(leave_bytes=5 * files[0].stat().st_size)
        answered = {path: send(receiver.node, [path])[0].status for path in files}
        assert set(answered.values()) == {StoreAnswer.SUCCESS, StoreAnswer.OUT_OF_RESOURCES}
        kept = {dcmread(path).SOPInstanceUID for path, status in answered.items() if status == StoreAnswer.SUCCESS}
        assert receiver.rows().keys() >= kept
        assert list(disk.folder.rglob("*.part")) == []
        disk.clear()
        assert statuses(receiver.node, files) == {StoreAnswer.SUCCESS}
        assert len(receiver.rows()) == len(files)


def test_a_disk_that_is_read_only_is_a_refusal_until_it_is_not(tmp_path: Path, disk: SmallDisk) -> None:
    files = ct(tmp_path, "S")
    with Receiving(disk.folder / "data") as receiver:
        assert statuses(receiver.node, files[:5]) == {StoreAnswer.SUCCESS}
        receiver.engine.dispose()
        disk.read_only()
        assert statuses(receiver.node, files[5:]) == {StoreAnswer.OUT_OF_RESOURCES}
        disk.read_only(False)
        assert statuses(receiver.node, files[5:]) == {StoreAnswer.SUCCESS}
        assert len(receiver.rows()) == len(files)


def test_a_database_alone_on_a_read_only_disk_acknowledges_nothing(tmp_path: Path, disk: SmallDisk) -> None:
    """The file could be kept, its row could not."""
    data = disk.folder / "data"
    with Receiving(data) as receiver:
        (tmp_path / "spool").mkdir()
        shutil.rmtree(data / "spool", ignore_errors=True)
        (data / "spool").symlink_to(tmp_path / "spool")
        receiver.engine.dispose()
        disk.read_only()
        assert statuses(receiver.node, ct(tmp_path, "S")) == {StoreAnswer.OUT_OF_RESOURCES}
        assert list((tmp_path / "spool").rglob("*.dcm")), "written, and recorded at the next start if nobody sends it"
        disk.read_only(False)
        assert statuses(receiver.node, ct(tmp_path, "S")) == {StoreAnswer.SUCCESS}


def test_a_disk_without_inodes_acknowledges_nothing_until_there_are_some(tmp_path: Path, disk: SmallDisk) -> None:
    files = ct(tmp_path, "S")
    with Receiving(disk.folder / "data") as receiver:
        assert statuses(receiver.node, files[:5]) == {StoreAnswer.SUCCESS}
        disk.crowd()
        assert disk.free_bytes > 10 * MB, "there is space"
        with pytest.raises(OSError, match="No space left on device"):
            (disk.folder / "one more").touch()
        assert statuses(receiver.node, files[5:]) == {StoreAnswer.OUT_OF_RESOURCES}
        disk.disperse()
        assert list(disk.folder.rglob("*.part")) == []
        assert statuses(receiver.node, files[5:]) == {StoreAnswer.SUCCESS}
        assert len(receiver.rows()) == len(files)
