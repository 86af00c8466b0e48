"""A receiver with its inbox on a data directory, in this process or (`python receiving.py FOLDER`) in its own."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from pynetdicom.dsutils import split_dataset

from service.domain import ports
from service.network.peer import DicomNode
from service.network.receive import Listening, Receiver
from service.network.received import Room
from service.store.engine import sqlite_engine
from service.store.inbox import Inbox
from service.store.migrations import upgrade
from service.store.records import Records
from service.store.spool import Spool
from service.store.tables import instances


@dataclass
class Counts:
    """An observer that remembers."""

    associations: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    modalities: list[str] = field(default_factory=list)

    def association(self, outcome: str) -> None:
        self.associations.append(outcome)

    def instance(self, modality: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.modalities.append(modality)
        self.statuses.append(status)


class Receiving:
    """A running receiver, used in a `with` block."""

    AET = "THORACLE"

    def __init__(
        self,
        folder: Path,
        port: int = 0,
        spool: ports.Spool | None = None,
        host: str = "127.0.0.1",
        calls: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """calls: of `Listening`, who may call; options: of `Receiver`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.engine = sqlite_engine(folder / "records.db", "NORMAL")
        upgrade(self.engine)
        self.folder = folder
        self.records = Records(self.engine)
        self.inbox = Inbox(spool or Spool(folder), self.records)
        self.counts = Counts()
        self._host = host
        room = options.pop("room", None) or Room(folder, 2 << 30)
        listening = Listening(self.AET, host, port, room=room, **(calls or {}))
        self._receiver = Receiver(self.inbox, self.counts, listening, **options)

    def __enter__(self) -> Self:
        self._receiver.start()
        self.port = self._receiver.port
        return self

    def __exit__(self, *_: object) -> None:
        self._receiver.stop(wait_s=5)

    @property
    def busy(self) -> str:
        """Why nobody else would be let in."""
        return self._receiver.busy

    @property
    def node(self) -> DicomNode:
        return DicomNode("receiver", self.AET, self._host, self.port, "CT1")

    def rows(self) -> dict[str, sa.Row[Any]]:
        """Current instances by SOP Instance UID."""
        with self.engine.begin() as connection:
            current = connection.execute(sa.select(instances).where(instances.c.replaced_at.is_(None)))
            return {row.sop_instance_uid: row for row in current}

    def path(self, sop_instance_uid: str) -> Path:
        """Where an instance lies."""
        return self.folder / str(self.rows()[sop_instance_uid].path)

    def dataset_bytes(self, sop_instance_uid: str) -> bytes:
        """The stored dataset of an instance, without its file meta information."""
        return dataset_bytes(self.path(sop_instance_uid))


def dataset_bytes(path: Path) -> bytes:
    """The encoded dataset of a DICOM file, without its file meta information."""
    _, offset = split_dataset(path)
    return path.read_bytes()[offset:]


if __name__ == "__main__":
    with Receiving(Path(sys.argv[1])) as receiving:
        receiving.inbox.reconcile(datetime.now(UTC))
        print(receiving.port, flush=True)
        time.sleep(600)
