"""What /readyz says of the disk and of the queue."""

from pathlib import Path

import pytest

from service.domain.pressure import Marks
from service.ops import readiness

GB = 1e9
MARKS = Marks(2 * GB, 4 * GB, 500)


def disk(free_gb: float, turned_away: int = 0, *folders: Path) -> str:
    return readiness.disk(free_gb * GB, MARKS, {"disk": turned_away}, folders)


def test_a_disk_that_fills_up_is_a_warning_before_anything_is_refused() -> None:
    assert disk(4) == "ok"
    assert disk(3.9) == "warning: 3.9 GB are free, below 2 GB new studies are refused"


def test_what_is_refused_is_said_as_the_receiver_does_it() -> None:
    assert disk(3.9, 1) == "the disk is nearly full (3.9 GB free): new studies are refused"
    assert disk(0.1, 2) == "the disk is nearly full (0.1 GB free): C-STORE is refused"
    assert readiness.queue({"queue": 1}) == "too many jobs wait for their analysis: new studies are refused"
    assert readiness.queue({}) == "ok"


def test_a_folder_that_cannot_be_written_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert disk(5, 0, tmp_path, tmp_path / "not yet") == "ok"
    assert list(tmp_path.iterdir()) == []

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("service.ops.disk.os.fsync", full)
    assert disk(5, 0, tmp_path) == f"{tmp_path} cannot be written: No space left on device"
