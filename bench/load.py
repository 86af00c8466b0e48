"""Eight modalities that send at once: while the worker is idle, while it analyses, and to a receiver that discards.

The three right after each other. Every acknowledged slice is then looked for in the records and on disk.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import quantiles

from helpers import make_ct
from helpers.dicom_peers import wait_until
from helpers.modalities import Sent, send_at_once
from helpers.receiving import dataset_bytes
from helpers.running_service import AET, RunningService
from pydicom import dcmread

from bench.cases import SLICES, Case, cases, phantom
from bench.figures import Figure, columns
from bench.servers import discard, free_port
from service.network.peer import DicomNode
from service.network.send import Verdict, dicom_files, send
from service.store.engine import sqlite_engine
from service.store.records import Records

PART = "load"

_MODALITIES = 8
_IDLE, _BUSY, _YARDSTICK = "worker idle", "worker analysing", "discarding yardstick"
_ANALYSED = "ANALYSED"
"""Calling AE title of the study that is analysed; those of the eight stay in their quiet period."""
_HERE: dict[str, object] = {"addresses": ["127.0.0.1"]}
_RECEIVER = {"quiet_s": 3600, "callers": {"*": _HERE, _ANALYSED: _HERE | {"quiet_s": 1}}}
_NOTE = f"{_MODALITIES} dcmsend, {SLICES} slices of 0.5 MB in all, durable before each answer; latency: of one C-STORE"

Studies = Mapping[str, Sequence[Path]]


def measure(work: Path, repeat: int) -> Iterator[Figure]:
    """RuntimeError without dcmsend, when an association or the analysis fails, or when a slice got lost or changed."""
    case, studies = cases()[0], _studies(work / "modalities")
    runs = columns([_once(case, studies, work) for _ in range(repeat)])
    for name, values in runs.items():
        what, _, unit = name.rpartition(", ")
        yield Figure(PART, what, unit, values, more_is_better=unit == "images/s" or not unit, note=_NOTE)
    shutil.rmtree(work / "modalities")


def _studies(folder: Path) -> Studies:
    """The files of each modality, by its AE title: a study of its own."""
    studies = {}
    for k in range(_MODALITIES):
        slices = phantom().datasets[k::_MODALITIES]
        for dataset in slices:
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"2.25.{k + 1}", f"2.25.{k + 1}.1"
        studies[f"CT{k + 1}"] = make_ct.write(slices, folder / f"{k + 1}")
    return studies


def _once(case: Case, studies: Studies, work: Path) -> dict[str, float]:
    """Figures by `name, unit`."""
    with RunningService(work / "idle", None, receiver=_RECEIVER) as service:
        idle = _received(service, studies)
        _begin(service, case)
        alone_s = _analysis_s(service)
    with RunningService(work / "busy", None, receiver=_RECEIVER) as service:
        _begin(service, case)
        busy = _received(service, studies)
        if service.jobs()[0]["state"] != "running":
            raise RuntimeError(f"the analysis of {case.name} ended before the senders did")
        beside_s = _analysis_s(service)
    port = free_port()
    with discard(work, port):
        yardstick = send_at_once(studies, port, work)
    shutil.rmtree(work / "idle")
    shutil.rmtree(work / "busy")
    rate = {name: SLICES / sent.seconds for name, sent in ((_IDLE, idle), (_BUSY, busy), (_YARDSTICK, yardstick))}
    return {
        **_figures(_IDLE, idle),
        **_figures(_BUSY, busy),
        **_figures(_YARDSTICK, yardstick),
        f"{_IDLE} / {_YARDSTICK}, ": rate[_IDLE] / rate[_YARDSTICK],
        f"{_BUSY} / {_YARDSTICK}, ": rate[_BUSY] / rate[_YARDSTICK],
        f"{_BUSY} / {_IDLE}, ": rate[_BUSY] / rate[_IDLE],
        f"{case.name}: analysis alone, s": alone_s,
        f"{case.name}: analysis while they send, s": beside_s,
        "of it they send, s": busy.seconds,
    }


def _figures(name: str, sent: Sent) -> dict[str, float]:
    percentile = quantiles(sent.latency_s, n=100)
    latency_s = {"p50": percentile[49], "p95": percentile[94], "p99": percentile[98], "max": max(sent.latency_s)}
    return {
        f"{name}, images/s": SLICES / sent.seconds,
        **{f"{name}: latency {which}, ms": 1000 * seconds for which, seconds in latency_s.items()},
        f"{name}: senders' CPU time per image, ms": 1000 * sent.cpu_s / SLICES,
    }


def _received(service: RunningService, studies: Studies) -> Sent:
    """Sent, and all there as it was sent."""
    sent = send_at_once(studies, service.port, service.folder)
    data = service.folder / "data"
    engine = sqlite_engine(data / "records.db")
    for files in studies.values():
        recorded = Records(engine).series_of(str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID))
        kept = [data / path for series in recorded for path in series.paths]
        if sorted(map(dataset_bytes, kept)) != sorted(map(dataset_bytes, files)):
            raise RuntimeError(f"of {len(files)} acknowledged slices {len(kept)} are kept, or other bytes")
    engine.dispose()
    return sent


def _begin(service: RunningService, case: Case) -> None:
    """Send the CT and wait until the worker is at its largest stage."""
    node = DicomNode("service", AET, "127.0.0.1", service.port, _ANALYSED)  # dcmsend refuses P001's invalid UIDs
    if any(sent.verdict is not Verdict.STORED for sent in send(node, dicom_files(case.folder))):
        raise RuntimeError(f"{case.name} was not stored")
    wait_until(lambda: ": lungs" in service.log(), 300)


def _analysis_s(service: RunningService) -> float:
    job = service.wait_for_job("analysed", timeout_s=600)
    began, ended = (datetime.fromisoformat(job[key]) for key in ("started_at", "finished_at"))
    return (ended - began).total_seconds()
