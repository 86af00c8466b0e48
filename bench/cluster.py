"""Two workers against one: studies per hour, on PostgreSQL and an S3 server, with inference that only sleeps.

One after the other, right after each other, each with a database and a prefix of its own; everything but the networks
is the product. The workers are up and idle before the first study is complete.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from helpers import make_ct, tiny_models
from helpers.dicom_peers import free_port, wait_until
from helpers.many_hosts import Host
from helpers.postgresql import PostgreSQL
from helpers.s3_server import S3Server
from pydicom import Dataset
from pydicom.uid import generate_uid

from bench.figures import Figure, Target, columns
from bench.sleeping import SLICE_S
from demo.pacs import StandInPacs
from service.domain.job_state import State
from service.network.peer import DicomNode, echo
from service.network.send import Verdict, send
from service.store.advisory_locks import AdvisoryLocks
from service.store.engine import database_engine
from service.store.tables import jobs

PART = "cluster"

_STUDIES = 12
_QUIET_S = 20.0
"""Longer than it takes to send all: work begins when the sender is done."""
_AET = "THORACLE"
_TARGET = Target(1.7, at_least=True)
_NOTE = (
    f"{_STUDIES} studies of 41 slices, PostgreSQL and S3, delivered; inference is simulated: it sleeps {SLICE_S:g} s a "
    "slice and uses no core"
)
_SMALL: dict[str, Any] = {"slices": 41, "spacing_mm": 5.0, "rows": 48, "columns": 64, "pixel_mm": (6.0, 6.0)}


def measure(work: Path, repeat: int) -> Iterator[Figure]:
    """RuntimeError where a study is not delivered."""
    models = tiny_models.repository(work / "models")
    rows = []
    with PostgreSQL() as postgresql, S3Server(work / "s3") as s3:
        for number in range(repeat):
            rate = {
                workers: _studies_per_hour(work / f"cluster-{number}-{workers}", workers, postgresql, s3, models)
                for workers in (1, 2)
            }
            rows.append({"one worker": rate[1], "two workers": rate[2], "two / one": rate[2] / rate[1]})
    for name, runs in columns(rows).items():
        ratio = "/" in name
        target = _TARGET if ratio else None
        yield Figure(PART, name, "" if ratio else "studies/h", runs, target, more_is_better=True, note=_NOTE)


def _studies_per_hour(folder: Path, workers: int, postgresql: PostgreSQL, s3: S3Server, models: Path) -> float:
    """From the start of the first analysis to the last delivery."""
    port, pacs_port, url = free_port(), free_port(), postgresql.create()
    settings = {
        "database_url": url,
        "bucket": s3.settings(folder.name),
        "receiver": {"ae_title": _AET, "host": "127.0.0.1", "port": port, "quiet_s": _QUIET_S},
        "inference": {"repository": str(models), "threads": 1},
        "destinations": {"pacs": {"ae_title": "PACS", "host": "127.0.0.1", "port": pacs_port, "concurrency": 2}},
    }
    sleeping = [sys.executable, "-m", "bench.sleeping"]
    receiver = Host(folder / "receiver", "receiver", settings, s3.environment)
    ours = [Host(folder / f"worker-{n}", "worker", settings, s3.environment, sleeping) for n in range(workers)]
    engine = database_engine(url)
    with StandInPacs(folder / "pacs", "PACS", pacs_port), ExitStack() as stack:
        stack.callback(engine.dispose)
        for host in (receiver, *ours):
            stack.callback(host.kill)
        node = DicomNode("service", _AET, "127.0.0.1", port, "CT1")
        receiver.start()  # it creates the tables
        wait_until(lambda: echo(node) is None, 120)
        for host in ours:
            host.start()
        locks = AdvisoryLocks(engine)
        wait_until(lambda: locks.members("worker") == workers, 240)
        images = make_ct.make(**_SMALL, findings=make_ct.FINDINGS).datasets
        for number in range(_STUDIES):
            _send(node, images, folder / "sent" / f"{number}")
        wait_until(lambda: _delivered(engine) == _STUDIES, 1200)
        with engine.begin() as connection:
            ends = sa.select(sa.func.min(jobs.c.started_at), sa.func.max(jobs.c.delivered_at))
            began, ended = connection.execute(ends).one()
    return _STUDIES * 3600 / float((ended - began).total_seconds())


def _send(node: DicomNode, images: list[Dataset], folder: Path) -> None:
    study, series = generate_uid(), generate_uid()
    for image in images:
        image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID = study, series, generate_uid()
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    if any(sent.verdict is not Verdict.STORED for sent in send(node, make_ct.write(images, folder))):
        raise RuntimeError("a study was not stored")


def _delivered(engine: sa.Engine) -> int:
    with engine.begin() as connection:
        states = list(connection.scalars(sa.select(jobs.c.state)))
    if wrong := {State(s) for s in states} & {State.FAILED, State.REFUSED, State.UNDELIVERED, State.SUPERSEDED}:
        raise RuntimeError(f"jobs ended as {', '.join(sorted(wrong))}")
    return states.count(State.DELIVERED)
