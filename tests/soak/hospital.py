"""Everything that runs: database, bucket, PACS, and the service on several hosts."""

import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from helpers import tiny_models
from helpers.dicom_peers import Orthanc, free_port, wait_until
from helpers.many_hosts import Host
from helpers.postgresql import PostgreSQL
from helpers.s3_server import S3Server

from service.domain.job_state import State
from service.network.peer import DicomNode, echo
from service.store.advisory_locks import AdvisoryLocks
from service.store.engine import database_engine
from service.store.object_spool import ObjectSpool
from service.store.tables import jobs

AET = "THORACLE"
QUIET_S = 20.0
"""Longer than a killed receiver is away: else half a study would be taken for a whole one."""


class Hospital:
    """Used in a `with` block; the service is up when it begins. A host that ends is started again, until `close`."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder = folder
        self._workers = workers
        self._stack = ExitStack()
        self._closing = threading.Event()
        self._supervisor = threading.Thread(target=self._mind, name="supervisor")
        self.killed: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            database = stack.enter_context(PostgreSQL()).create()
            s3 = stack.enter_context(S3Server(self._folder / "s3"))
            port = free_port()
            us = {"AET": AET, "Host": "127.0.0.1", "Port": port, "AllowStorageCommitment": True}
            self.pacs = stack.enter_context(Orthanc(self._folder / "pacs", DicomModalities={"ai": us}))
            self.node = DicomNode("service", AET, "127.0.0.1", port, "CT1")
            self.spool: ObjectSpool = s3.spool("soak")
            self.database = database_engine(database)
            stack.callback(self.database.dispose)
            settings = {
                "database_url": database,
                "bucket": s3.settings("soak"),
                "receiver": {"ae_title": AET, "host": "127.0.0.1", "port": port, "quiet_s": QUIET_S},
                "api": {"port": free_port()},
                "inference": {"repository": str(tiny_models.repository(self._folder / "models")), "threads": 1},
                "destinations": {"pacs": _destination(self.pacs)},
            }
            roles = ["receiver", "api", *["worker"] * self._workers]
            self.hosts = [
                Host(self._folder / f"{role}-{number}", role, settings, s3.environment)
                for number, role in enumerate(roles)
            ]
            stack.callback(self._kill_all)
            self._start_one_by_one()
            self._stack = stack.pop_all()
        self._supervisor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._stack.close()

    def kill(self, host: Host) -> None:
        self.killed[host.role] += 1
        host.kill()

    def states(self) -> Counter[str]:
        """Number of jobs in each state; a database that is busy says nothing."""
        with self.database.begin() as connection:
            query = sa.select(jobs.c.state, sa.func.count()).group_by(jobs.c.state)
            return Counter({State(state): count for state, count in connection.execute(query)})

    def close(self) -> None:
        """Stop the service as an operator does, and start nothing again."""
        if not self._closing.is_set():
            self._closing.set()
            self._supervisor.join()
            for host in self.hosts:
                if host.alive:
                    host.stop()

    def _start_one_by_one(self) -> None:
        """The first creates the tables."""
        locks = AdvisoryLocks(self.database)
        receiver, *others = self.hosts
        receiver.start()
        wait_until(lambda: echo(self.node) is None, 120)
        for host in others:
            host.start()
        wait_until(lambda: locks.members("worker") == self._workers, 120)

    def _mind(self) -> None:
        while not self._closing.wait(0.2):
            for host in self.hosts:
                if not host.alive:
                    self.ended[host.role] += 1
                    host.start()

    def _kill_all(self) -> None:
        for host in self.hosts:
            host.kill()


def _destination(pacs: Orthanc) -> dict[str, Any]:
    return {
        "ae_title": Orthanc.AET,
        "host": "127.0.0.1",
        "port": pacs.port,
        "concurrency": 2,
        "retry_delays_s": [1, 2, 5],
        "answer_within_s": 20,
    }
