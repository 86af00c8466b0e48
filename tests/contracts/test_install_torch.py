"""docker/install-torch.sh: PyTorch with CUDA comes where the build without is not offered, and for no other reason."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docker" / "install-torch.sh"
NOT_OFFERED = """\
ERROR: Could not find a version that satisfies the requirement torch==2.13.0+cpu (from versions: 2.12.0, 2.13.0)
ERROR: No matching distribution found for torch==2.13.0+cpu"""
NOBODY_ANSWERS = """\
ERROR: Could not find a version that satisfies the requirement torch==2.13.0+cpu (from versions: none)
ERROR: No matching distribution found for torch==2.13.0+cpu"""
FAILURES = {
    "hash": "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
    "network": NOBODY_ANSWERS,
    "network beside a folder": f"WARNING: Retrying (Retry(total=4)) after connection broken\n{NOT_OFFERED}",
    "another package": "ERROR: No matching distribution found for filelock==4.2.11",
    "disk": "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
}


def install(folder: Path, says: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """What it prints, and the parts of the lock that it asked for. says: pip's failure without CUDA; empty: none."""
    pip = folder / "pip"
    pip.write_text(
        f"#!/bin/sh\necho $3 >>{folder}/asked\n"
        f"case $3 in *cpu*) cat {folder}/says >&2; [ ! -s {folder}/says ] ;; esac\n"
    )
    pip.chmod(0o755)
    (folder / "says").write_text(says)
    command = [str(SCRIPT), str(pip), "install"]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    return done, (folder / "asked").read_text().split()


def test_the_build_without_cuda_is_preferred(tmp_path: Path) -> None:
    done, asked = install(tmp_path, "")
    assert (done.returncode, asked) == (0, ["requirements/torch-cpu.txt"])
    assert "without CUDA" in done.stdout


def test_where_it_is_not_offered_the_other_is_taken_and_named(tmp_path: Path) -> None:
    done, asked = install(tmp_path, NOT_OFFERED)
    assert (done.returncode, asked) == (0, ["requirements/torch-cpu.txt", "requirements/torch-cuda.txt"])
    assert "with CUDA" in done.stdout


@pytest.mark.parametrize("why", FAILURES)
def test_any_other_failure_is_shown_and_ends_it(tmp_path: Path, why: str) -> None:
    done, asked = install(tmp_path, FAILURES[why])
    assert (done.returncode, asked) == (1, ["requirements/torch-cpu.txt"])
    assert FAILURES[why] in done.stderr


def test_cuda_may_be_asked_for(tmp_path: Path) -> None:
    done, asked = install(tmp_path, "", TORCH="cuda")
    assert (done.returncode, asked) == (0, ["requirements/torch-cuda.txt"])
