"""Counters of several processes must add up in one answer."""

import errno
import os
import subprocess
import sys
from collections.abc import Container
from itertools import product
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.ops.counting_files import _RESERVED_BYTES, Counted, count_in, exposition
from service.ops.metrics import serving_trouble, turned_away

pytestmark = pytest.mark.slow

REPORT = """
import sys
from pathlib import Path
from service.ops.counting_files import count_in
from service.imaging.difference import Difference
from service.ops.metrics import Metrics
count_in(Path(sys.argv[1]), sys.argv[2])
m = Metrics()
m.association("accepted")
m.instance("CT", 0x0000, 0.01)
m.study("analysed", "covid-severity", {"read": 2.0, "encode": 1.0})
m.delivery("pacs", "stored")
m.delivered(90.0)
m.canary(True)
m.canary(False)
m.measured("covid-severity", "severity_score", "GE REVOLUTION", 7.0)
m.measured("covid-severity", "opacity_percent", "GE REVOLUTION", 3.5)
m.refused("covid-severity", "GE REVOLUTION", ["TILT"])
m.refused("", "GE REVOLUTION", ["NO_PIPELINE"])
for pipeline, change in (("covid-severity", 2.0), ("another-pipeline", -40.0)):
    difference = Difference({}, "", (50.0, 50.0 + change), {}, {})
    m.shadow(pipeline, "lobes", "2", "compared", difference)
"""


def count(script: str, *arguments: object) -> None:
    subprocess.run([sys.executable, "-c", script, *map(str, arguments)], check=True)


def sampled(folder: Path, name: str | None = None, living: Container[str] = ()) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(exposition(Counted(folder, living, name)).decode())
    return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}


def accepted(folder: Path) -> str:
    lines = exposition(Counted(folder, ())).decode().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("thoracle_associations_total{"))


def test_two_processes_add_up(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    for name in ("worker-0", "worker-1"):
        count(REPORT, folder, name)
    samples = sampled(folder)
    assert samples["thoracle_associations_total", "accepted"] == 2
    assert samples["thoracle_instances_total", "0x0000", "CT"] == 2
    assert samples["thoracle_studies_total", "analysed", "covid-severity"] == 2
    assert samples["thoracle_stage_seconds_sum", "read"] == 4.0
    assert samples["thoracle_deliveries_total", "pacs", "stored"] == 2
    assert samples["thoracle_acquisition_to_delivery_seconds_sum",] == 180.0
    assert samples["thoracle_backend_canary_failures_total",] == 2
    watched = ("thoracle_result_value_sum", "GE REVOLUTION", "covid-severity")
    assert (samples[*watched, "severity_score"], samples[*watched, "opacity_percent"]) == (14, 7)
    assert samples["thoracle_refused_studies_total", "GE REVOLUTION", "TILT", "covid-severity"] == 2
    assert samples["thoracle_refused_studies_total", "GE REVOLUTION", "NO_PIPELINE", "none"] == 2
    for pipeline, change in (("covid-severity", 4), ("another-pipeline", 80)):
        assert samples["thoracle_shadow_studies_total", *sorted(("2", "compared", "lobes", pipeline))] == 2
        assert samples["thoracle_shadow_headline_change_sum", *sorted(("2", "lobes", pipeline))] == change
        assert samples["thoracle_shadow_worst_dice_count", *sorted(("2", "lobes", pipeline))] == 2
    assert sampled(folder, "worker-1")["thoracle_associations_total", "accepted"] == 1, "of one process alone"


AHEAD = """
import logging, sys
from pathlib import Path
from service.ops.counting_files import count_in
from service.ops.metrics import Metrics
logging.basicConfig(format="%(message)s")
count_in(Path(sys.argv[1]), "worker-0")
m = Metrics()
for latency_s in (-3500.0, 100.0, -3400.0, 0.0):
    m.delivered(latency_s)
"""


def test_results_that_came_before_their_ct_have_no_latency(tmp_path: Path) -> None:
    """The scanner's clock is an hour ahead: that is no quick delivery."""
    command = [sys.executable, "-c", AHEAD, str(tmp_path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    samples = sampled(tmp_path)
    assert samples["thoracle_acquisition_to_delivery_seconds_count",] == 2
    assert samples["thoracle_acquisition_to_delivery_seconds_sum",] == 100
    assert samples["thoracle_acquired_ahead_total",] == 2
    assert [line.partition(":")[0] for line in said.splitlines()] == [
        "a CT was acquired 58 minutes after its results came"
    ]


SCANNERS = """
import sys
from pathlib import Path
from service.ops.counting_files import count_in
from service.ops.metrics import Metrics
count_in(Path(sys.argv[1]), sys.argv[2])
m = Metrics()
for n in range(int(sys.argv[3]), int(sys.argv[4])):
    for pipeline in ("covid-severity", "another-pipeline"):
        for measure in ("severity_score", "opacity_percent"):
            m.measured(pipeline, measure, f"SCANNER {n}", 1.0)
"""


def test_only_so_many_scanners_have_a_label_whatever_is_sent_and_restarted(tmp_path: Path) -> None:
    for first, last in ((0, 15), (15, 30), (0, 15)):
        count(SCANNERS, tmp_path, "worker-0", first, last)
    counts = {frozenset(key): n for key, n in sampled(tmp_path).items() if key[0] == "thoracle_result_value_count"}
    for watched in product(("covid-severity", "another-pipeline"), ("severity_score", "opacity_percent")):
        others = {"thoracle_result_value_count", *watched}
        assert {next(iter(key - others)): n for key, n in counts.items() if others <= key} == {
            **{f"SCANNER {n}": 2 for n in range(15)},
            **{f"SCANNER {n}": 1 for n in range(15, 20)},
            "other": 10,
        }
    file = (tmp_path / "histogram_worker-0.db").stat()
    assert file.st_size == _RESERVED_BYTES and 512 * file.st_blocks >= file.st_size, "it never grows into a hole"


REFUSES = """
import sys
from pathlib import Path
from service.ops.counting_files import count_in
from service.ops.metrics import Metrics
count_in(Path(sys.argv[1]), sys.argv[2])
Metrics().turned_away("disk", int(sys.argv[3]))
"""


def test_what_the_living_receivers_refuse_is_said_and_what_a_dead_one_did_is_not(tmp_path: Path) -> None:
    assert turned_away(tmp_path, ()) == {}
    for name, what, living, expected in (
        ("receiver-0", 2, {"receiver-0"}, {"disk": 2}),
        ("receiver-1", 1, {"receiver-0", "receiver-1"}, {"disk": 2}),
        ("receiver-1", 1, {"receiver-1"}, {"disk": 1}),
        ("receiver-0", 0, {"receiver-0"}, {"disk": 0}),
    ):
        count(REFUSES, tmp_path, name, what)
        assert turned_away(tmp_path, living) == expected


WATCHES = """
import sys
from pathlib import Path
from service.ops.counting_files import count_in
from service.ops.metrics import Metrics
count_in(Path(sys.argv[1]), sys.argv[2])
m = Metrics()
for word in sys.argv[3:]:
    m.canary(word == "right") if word in ("right", "wrong") else m.serving(word == "served")
"""
BACKEND_UP, SERVING_TROUBLE = ("thoracle_backend_up",), ("thoracle_serving_trouble",)


def test_the_worst_of_the_living_workers_is_told_whoever_spoke_last(tmp_path: Path) -> None:
    count(WATCHES, tmp_path, "worker-0", "wrong", "unserved")
    count(WATCHES, tmp_path, "worker-1", "right", "served")
    count(WATCHES, tmp_path, "receiver-0")
    both = sampled(tmp_path, living={"worker-0", "worker-1", "receiver-0"})
    assert (both[BACKEND_UP], both[SERVING_TROUBLE]) == (0, 1)
    assert serving_trouble(tmp_path, {"worker-0", "worker-1"})

    left = sampled(tmp_path, living={"worker-1", "receiver-0"})
    assert (left[BACKEND_UP], left[SERVING_TROUBLE]) == (1, 0), "what the dead one said is over"
    assert not serving_trouble(tmp_path, {"worker-1"})


def test_a_restarted_worker_does_not_tell_what_the_dead_one_of_its_name_said(tmp_path: Path) -> None:
    count(WATCHES, tmp_path, "worker-0", "wrong", "unserved")
    count(WATCHES, tmp_path, "worker-0")
    again = sampled(tmp_path, living={"worker-0"})
    assert BACKEND_UP not in again
    assert again[SERVING_TROUBLE] == 0


def test_counting_needs_no_more_space(tmp_path: Path) -> None:
    """What is mapped is there already: on a full disk a process would be killed by its first count in a hole."""
    count(REPORT, tmp_path, "worker-0")
    files = list(tmp_path.iterdir())
    assert {path.name.partition("_")[0] for path in files} == {"counter", "histogram", "gauge"}
    assert all(path.stat().st_blocks * 512 >= path.stat().st_size for path in files)


def test_a_process_goes_on_from_where_a_dead_one_of_its_name_stopped(tmp_path: Path) -> None:
    """No counter goes back, and no files of the dead are left: a worker that cannot start is started all day long."""
    for times in (1, 2, 3):
        count(REPORT, tmp_path, "worker-0")
        assert accepted(tmp_path) == f"{times}.0"
        assert len(list(tmp_path.iterdir())) == 4


def test_a_file_that_cannot_be_read_begins_anew(tmp_path: Path) -> None:
    """A power cut took its last pages; and a disk was full before it had any."""
    count(REPORT, tmp_path, "worker-0")
    path = tmp_path / "counter_worker-0.db"
    content = bytearray(path.read_bytes())
    content[100:] = bytes(len(content) - 100)
    for damaged in (bytes(content), b""):
        path.write_bytes(damaged)
        count(REPORT, tmp_path, "worker-0")
        assert accepted(tmp_path) == "1.0"


def test_without_space_no_file_is_left_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        count_in(tmp_path, "worker-0")
    assert turned_away(tmp_path, ()) == {}
