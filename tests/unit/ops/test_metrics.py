"""Counters of several processes must add up in one answer."""

import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError

from service.ops.metrics import DatabaseCollector, exposition, prepare, refusing

REPORT = """
import sys
from pathlib import Path
from service.ops.metrics import Metrics, count_in
count_in(Path(sys.argv[1]))
m = Metrics()
m.association("accepted")
m.instance("CT", 0x0000, 0.01)
m.study("analysed", {"read": 2.0, "encode": 1.0})
m.delivery("pacs", "stored")
m.delivered(90.0)
"""


def test_two_processes_and_the_database_add_up(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    prepare(folder)
    for _ in range(2):
        subprocess.run([sys.executable, "-c", REPORT, str(folder)], check=True)
    database = DatabaseCollector(lambda: {"queued": 3}, lambda: {"ANALYSED": 1, "TILT": 2}, lambda: 12345)
    samples = {
        (s.name, *sorted(s.labels.values())): s.value
        for family in text_string_to_metric_families(exposition(folder, database).decode())
        for s in family.samples
    }
    assert samples["thoracle_associations_total", "accepted"] == 2
    assert samples["thoracle_instances_total", "0x0000", "CT"] == 2
    assert samples["thoracle_studies_total", "analysed"] == 2
    assert samples["thoracle_stage_seconds_sum", "read"] == 4.0
    assert samples["thoracle_deliveries_total", "pacs", "stored"] == 2
    assert samples["thoracle_acquisition_to_delivery_seconds_sum",] == 180.0
    assert samples["thoracle_jobs", "queued"] == 3
    assert samples["thoracle_series", "TILT"] == 2
    assert samples["thoracle_spool_free_bytes",] == 12345


def test_a_database_that_fails_hides_no_other_metric(tmp_path: Path) -> None:
    def fails() -> dict[str, int]:
        raise OperationalError("SELECT", {}, Exception())

    prepare(tmp_path)
    text = exposition(tmp_path, DatabaseCollector(lambda: {"queued": 3}, fails, lambda: 12345)).decode()
    assert "thoracle_spool_free_bytes 12345" in text
    assert "thoracle_jobs" not in text, "all or none: half of an answer looks like a whole one"


REFUSES = """
import sys
from pathlib import Path
from service.ops.metrics import Metrics, count_in
count_in(Path(sys.argv[1]))
Metrics().refusing("disk", int(sys.argv[2]))
"""


def test_the_receiver_that_spoke_last_says_what_is_refused(tmp_path: Path) -> None:
    prepare(tmp_path)
    assert refusing(tmp_path) == {}
    for what in (2, 1):
        subprocess.run([sys.executable, "-c", REFUSES, str(tmp_path), str(what)], check=True)
    assert refusing(tmp_path) == {"disk": 1}


def test_counting_needs_no_more_space(tmp_path: Path) -> None:
    """What is mapped is there already: on a full disk a process would be killed by its first count in a hole."""
    prepare(tmp_path)
    subprocess.run([sys.executable, "-c", REPORT, str(tmp_path)], check=True)
    files = list(tmp_path.iterdir())
    assert {path.name.partition("_")[0] for path in files} == {"counter", "histogram", "gauge"}
    assert all(path.stat().st_blocks * 512 >= path.stat().st_size for path in files)


ALONE = """
import os, socket, sys
from pathlib import Path
os.getpid = lambda: 1
socket.gethostname = lambda: sys.argv[2]
from service.ops.metrics import Metrics, count_in
count_in(Path(sys.argv[1]))
Metrics().association("accepted")
"""


def test_two_containers_whose_processes_have_the_same_id_add_up(tmp_path: Path) -> None:
    for host in ("receiver", "worker"):
        subprocess.run([sys.executable, "-c", ALONE, str(tmp_path), host], check=True)
    text = exposition(tmp_path, DatabaseCollector(dict, dict, lambda: 0)).decode()
    assert 'thoracle_associations_total{outcome="accepted"} 2.0' in text
