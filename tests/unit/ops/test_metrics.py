"""Counters of several processes must add up in one answer."""

import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from service.ops.metrics import DatabaseCollector, exposition, prepare

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
