"""4,000 studies a day for half an hour, to a real PACS: does a service keep up, and does its memory stay?

A study comes every 21.6 s, of the CTs at hand in turn. Latency is as in `bench.service`. Measured only when it is named
(`--only steady`), once, whatever `--repeat` says.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import cycle, islice
from pathlib import Path
from statistics import median, quantiles

from helpers.dicom_peers import Orthanc, free_port, wait_until
from helpers.running_service import AET, RunningService
from pydicom import dcmread

from bench.cases import DEMO, real_cts
from bench.figures import Figure, Target
from bench.service import QUIET_S, copied
from service.network.peer import DicomNode
from service.network.send import Verdict, send

PART = "steady"

STUDIES_A_DAY = 4000
MINUTES = 30
_EVERY_S = 24 * 3600 / STUDIES_A_DAY
_COUNT = round(MINUTES * 60 / _EVERY_S)
_NOTE = f"{_COUNT} studies, one every {_EVERY_S:g} s for {MINUTES} minutes, covid-severity, one worker"


def measure(work: Path, repeat: int) -> Iterator[Figure]:
    """RuntimeError when a study is not stored, or not delivered ten minutes after the last one came."""
    sources = islice(cycle(case.folder for case in real_cts()), _COUNT)
    studies = [copied(source, work / "steady" / f"{number:03}") for number, source in enumerate(sources)]
    port = free_port()
    with (
        Orthanc(work / "steady-pacs", DicomModalities={"ai": [AET, "127.0.0.1", port]}) as pacs,
        RunningService(
            work / "steady-service",
            (Orthanc.AET, pacs.port),
            pipelines=["covid-severity"],
            receiver={"port": port, "quiet_s": QUIET_S},
        ) as service,
    ):
        node = DicomNode("service", AET, "127.0.0.1", service.port, "CT")
        _sent(node, copied(DEMO, work / "steady" / "first"))
        service.wait_for_job("delivered")
        received, memory_gb, waiting = dict[str, float](), list[float](), list[int]()
        began = time.monotonic()
        for number, files in enumerate(studies):
            time.sleep(max(0.0, began + number * _EVERY_S - time.monotonic()))
            memory_gb.append(sum(one.memory_info().rss for one in service.processes("worker")) / 1e9)
            waiting.append(len(received) + 1 - len(_delivered(service)))
            _sent(node, files)
            received[str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)] = time.time()
        delivered = wait_until(lambda: _all(_delivered(service), len(received) + 1), 600)
    latency_s = [delivered[study] - at - QUIET_S for study, at in received.items()]
    times = sorted(delivered[study] for study in received)
    yield from _figures(latency_s, memory_gb, waiting, (len(times) - 1) / (times[-1] - times[0]))


def _figures(
    latency_s: Sequence[float], memory_gb: Sequence[float], waiting: Sequence[int], in_a_second: float
) -> Iterator[Figure]:
    third = len(latency_s) // 3
    a_day = Target(0.99 * STUDIES_A_DAY, at_least=True)
    yield Figure(PART, "studies delivered a day", "", (in_a_second * 86400,), a_day, True, _NOTE)
    yield Figure(PART, "last slice to committed, median", "s", (median(latency_s),))
    yield Figure(PART, "last slice to committed, 95 % within", "s", (quantiles(latency_s, n=20)[-1],))
    yield Figure(PART, "last slice to committed, longest", "s", (max(latency_s),))
    slower = median(latency_s[-third:]) / median(latency_s[:third])
    yield Figure(PART, "the same, last ten minutes / first ten minutes", "", (slower,), Target(1.1))
    yield Figure(PART, "studies not yet delivered when another comes, most", "", (max(waiting),), Target(2))
    yield Figure(PART, "memory of the worker, most between studies", "GB", (max(memory_gb),))
    growth = median(memory_gb[-third:]) - median(memory_gb[:third])
    yield Figure(PART, "memory of the worker, last ten minutes - first ten minutes", "GB", (growth,), Target(0.1))


def _sent(node: DicomNode, files: Sequence[Path]) -> None:
    if any(one.verdict is not Verdict.STORED for one in send(node, files)):
        raise RuntimeError(f"{files[0].parent} was not stored")


def _all(delivered: dict[str, float], count: int) -> dict[str, float] | None:
    return delivered if len(delivered) == count else None


def _delivered(service: RunningService) -> dict[str, float]:
    """When the job of each study was delivered, in seconds since 1970. RuntimeError if one ended otherwise."""
    jobs = service.jobs()
    if ended := [job for job in jobs if job["state"] in ("refused", "failed", "undelivered")]:
        raise RuntimeError(f"jobs ended otherwise: {ended}")
    return {
        job["study_uid"]: datetime.fromisoformat(job["delivered_at"]).timestamp()
        for job in jobs
        if job["state"] == "delivered"
    }
