"""`make demo` where it goes wrong: it must end, and say why in one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest
from helpers import make_ct

from demo import __main__ as demo

ROOT = Path(__file__).parents[2]


def test_each_step_is_told_when_it_begins_and_a_refused_ct_ends_the_demo(tmp_path: Path) -> None:
    make_ct.write(make_ct.make(slices=10).datasets, tmp_path / "ct")
    command = [sys.executable, "-m", "demo", "--ct", str(tmp_path / "ct"), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if "starting the service" in line:
            assert process.poll() is None, "told while it runs, not at the end"
    assert process.wait(60) == 1
    told = "\n".join(lines)
    assert told.index("starting") < told.index("sending 10 CT slices") < told.index("waiting") < told.index("job ")
    assert "The demo failed: the job ended as refused: The series has too few slices." in told


def test_slices_that_are_not_stored_end_the_demo(tmp_path: Path) -> None:
    make_ct.write(make_ct.make(slices=2).datasets, tmp_path)
    with pytest.raises(RuntimeError, match="did not take every slice"):
        demo.send(tmp_path, "NOBODY@127.0.0.1:1")


@pytest.mark.parametrize("state", ["undelivered", "failed"])
def test_a_job_that_ends_badly_ends_the_demo_with_what_is_known(state: str) -> None:
    deliveries = [{"last_error": "out of resources"}, {"last_error": ""}]
    job = {"state": state, "error": "what failed", "reasons": [], "deliveries": deliveries}
    with pytest.raises(RuntimeError, match=f"ended as {state}: what failed out of resources"):
        demo.is_delivered(job)


def test_a_job_on_its_way_is_waited_for() -> None:
    assert not demo.is_delivered({"state": "delivering"})
    assert demo.is_delivered({"state": "delivered"})
