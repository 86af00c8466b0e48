"""Shared memory: regions have names of their own, a dead process's are found, too little is said in words."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from service.inference.shared_memory import FOLDER, CannotShare, Region, files, left_behind

HOLD = """
import sys
from pathlib import Path
from service.inference.shared_memory import Region
region = Region(4096, Path(sys.argv[1]))
print(region.name, flush=True)
sys.stdin.read()
"""


def test_arrays_lie_side_by_side(tmp_path: Path) -> None:
    region = Region(256, tmp_path)
    region.array((2, 3), "int16", 0)[...] = [[1, 2, 3], [4, 5, 6]]
    region.array((4,), "float32", 64)[...] = 0.5
    written = (tmp_path / region.name).read_bytes()
    assert len(written) == 256
    assert np.frombuffer(written, "int16", 6).tolist() == [1, 2, 3, 4, 5, 6]
    assert stat.S_IMODE((tmp_path / region.name).stat().st_mode) == 0o600


def test_a_region_goes_with_its_object(tmp_path: Path) -> None:
    first, second = Region(64, tmp_path), Region(64, tmp_path)
    assert sorted(files(tmp_path)) == sorted([first.name, second.name])
    assert not left_behind(first.name, tmp_path)
    name = first.name
    del first
    assert files(tmp_path) == [second.name]
    assert left_behind(name, tmp_path)


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "ended"])
def test_a_dead_process_leaves_its_region_behind_at_most_until_somebody_looks(tmp_path: Path, killed: bool) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert not left_behind(name, tmp_path)
        if killed:
            process.kill()
    assert (files(tmp_path) == [name]) == killed
    assert left_behind(name, tmp_path)
    assert files(tmp_path) == []


def test_a_process_that_dies_before_its_region_is_locked_leaves_nothing(tmp_path: Path) -> None:
    held = HOLD.replace("region =", "import os; os.posix_fallocate = lambda *_: os._exit(9)\nregion =")
    assert subprocess.run([sys.executable, "-c", held, str(tmp_path)], check=False).returncode == 9
    assert list(tmp_path.iterdir()) == []


def test_a_host_without_shared_memory_is_said_in_words(tmp_path: Path) -> None:
    absent = tmp_path / "shm"
    assert files(absent) == []
    assert left_behind("thoracle-1", absent)
    with pytest.raises(CannotShare, match=r"are not to be had in .*: No such file or directory"):
        Region(64, absent)


@pytest.mark.skipif(not FOLDER.is_dir(), reason="this host has no /dev/shm")
def test_too_little_memory_is_said_in_words(tmp_path: Path) -> None:
    space = os.statvfs(FOLDER)
    with pytest.raises(CannotShare, match=r"MB of shared memory .* in /dev/shm: .*shm_size.*shared_memory"):
        Region(space.f_blocks * space.f_frsize + 2**20)
    with pytest.raises(CannotShare):
        Region(2**60, tmp_path)
    assert list(tmp_path.iterdir()) == []
