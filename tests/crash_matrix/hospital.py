"""A modality, the service on one backend, and a PACS that commits. Any of them can be killed and started again."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from helpers import tiny_models
from helpers.dicom_peers import free_port
from helpers.postgresql import PostgreSQL
from helpers.running_service import AET, RunningService
from helpers.s3_server import S3Server

from service.network.peer import DicomNode
from service.network.send import Verdict, send
from service.settings import Settings
from service.store.encryption import PLAIN, Encryption
from service.store.file_keys import FileKeys
from service.store.master_keys import MasterKeys
from service.store.object_spool import ObjectSpool
from service.store.spool import Spool
from tests.crash_matrix.holds import Holds, Point
from tests.crash_matrix.pacs import Pacs

PIPELINES = ("covid-severity", "covid-burden")
"""Both analyse every study."""

QUICK, PATIENT = "CT", "SLOWCT"
"""Calling AE titles. Of the second, a study waits for the rest of its images while the receiver starts again."""

_CALLERS = {ae: {"addresses": ["127.0.0.1"], "quiet_s": s} for ae, s in ((QUICK, 3.0), (PATIENT, 25.0), ("*", None))}


class Backend(Protocol):
    """Where the service keeps what it has. servers: those that can crash, by name."""

    name: str
    servers: Mapping[str, "Server"]
    spool: Spool | ObjectSpool

    @property
    def settings(self) -> dict[str, Any]: ...

    @property
    def environment(self) -> dict[str, str]: ...

    def databases(self) -> tuple[sa.Engine, sa.Engine]:
        """To read our tables, and the engine's."""
        ...


def _encryption(engine: sa.Engine) -> Encryption:
    """As the service's: THORACLE_ENCRYPTION__MASTER_KEY lets the matrix run with encrypted files."""
    keys = Settings().encryption.keys
    return Encryption(FileKeys(engine, MasterKeys(keys)), bool(keys)) if keys else PLAIN


class Server(Protocol):
    """It crashes and starts again."""

    def crash(self) -> None: ...

    def start(self) -> None: ...


class Disk:
    """SQLite and the data directory."""

    name = "SQLite"

    def __init__(self, data_dir: Path) -> None:
        self.servers: dict[str, Server] = {}
        self.settings: dict[str, Any] = {}
        self.environment: dict[str, str] = {}
        self._data_dir = data_dir
        self.spool = Spool(data_dir, _encryption(self.databases()[0]))

    def databases(self) -> tuple[sa.Engine, sa.Engine]:
        records, flow = (sa.create_engine(f"sqlite:///{self._data_dir / name}") for name in ("records.db", "flow.db"))
        return records, flow


class Cluster:
    """PostgreSQL and an S3 bucket."""

    name = "PostgreSQL + S3"

    def __init__(self, postgresql: PostgreSQL, s3: S3Server) -> None:
        self._url = postgresql.create()
        self.servers: dict[str, Server] = {"PostgreSQL": postgresql, "S3": _S3(s3)}
        self.settings: dict[str, Any] = {"database_url": self._url, "bucket": s3.settings("matrix")}
        self.environment = s3.environment
        self.spool = s3.spool("matrix", how=_encryption(self.databases()[0]))

    def databases(self) -> tuple[sa.Engine, sa.Engine]:
        engine = sa.create_engine(self._url, pool_pre_ping=True)  # the server may have crashed meanwhile
        return engine, engine


class _S3:
    def __init__(self, server: S3Server) -> None:
        self._server = server

    def crash(self) -> None:
        self._server.kill()

    def start(self) -> None:
        self._server.start()


@dataclass
class Hospital:
    """Everything is running."""

    backend: Backend
    holds: Holds
    pacs: Pacs
    service: RunningService
    records: sa.Engine
    flow: sa.Engine

    def send(self, files: Sequence[Path], calling_ae: str) -> "Modality":
        return Modality(DicomNode("service", AET, "127.0.0.1", self.service.port, calling_ae), files)


class Modality(threading.Thread):
    """Sends until every file is acknowledged, as modalities do."""

    def __init__(self, node: DicomNode, files: Sequence[Path]) -> None:
        super().__init__(daemon=True)
        self._node, self._files = node, list(files)
        self.start()

    def run(self) -> None:
        while self._files:
            self._files = [one.path for one in send(self._node, self._files) if one.verdict is not Verdict.STORED]
            if self._files:
                time.sleep(0.5)


@contextmanager
def on_disk(folder: Path) -> Iterator[Backend]:
    yield Disk(folder / "service" / "data")


@contextmanager
def on_cluster(folder: Path) -> Iterator[Backend]:
    with PostgreSQL() as postgresql, S3Server(folder / "s3") as s3:
        yield Cluster(postgresql, s3)


BACKENDS = {"sqlite": on_disk, "postgresql-s3": on_cluster}


@contextmanager
def hospital(folder: Path, backend: str, points: Sequence[Point], **settings: Any) -> Iterator[Hospital]:
    """points: where processes of the service can be held. settings: more of its configuration."""
    port = free_port()
    with ExitStack() as running:
        store = running.enter_context(BACKENDS[backend](folder))
        pacs = running.enter_context(Pacs(folder / "pacs", (AET, port)))
        line = running.enter_context(pacs.line)
        holds = Holds(folder / "holds", points)
        there = {"ae_title": Pacs.AET, "host": "127.0.0.1", "port": line.port}
        service = RunningService(
            folder / "service",
            None,
            environment={**store.environment, **holds.environment},
            pipelines=list(PIPELINES),
            receiver={"port": port, "callers": _CALLERS},
            destinations={"pacs": {**there, "retry_delays_s": [1], "answer_within_s": 5}},
            inference={"repository": str(tiny_models.repository(folder / "models"))},
            **store.settings,
            **settings,
        )
        yield Hospital(store, holds, pacs, running.enter_context(service), *store.databases())
