"""All states of a study and what happens in each: the rows of the matrix, in the order of the one path."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from tests.crash_matrix.accidents import (
    Accident,
    api_killed,
    crashed,
    killed,
    pacs_away,
    pacs_losing,
    pacs_refusing,
    pacs_rejecting,
    pacs_restarted,
    pacs_slow,
    power_cut,
    supervisor_killed,
)
from tests.crash_matrix.holds import Point

OBJECTS = ("lobes SEG", "findings SEG", "measurements SR", "study SR", "report PDF")
"""What is sent of a study, in this order."""

BACKENDS = ("sqlite", "postgresql-s3")
_CLUSTER = ("postgresql-s3",)


@dataclass(frozen=True, slots=True)
class State:
    """One row. key: for the command line. name: of the state. moment, what: for people."""

    key: str
    name: str
    moment: str
    what: str
    accident: Accident
    backends: tuple[str, ...] = BACKENDS

    @property
    def patient(self) -> bool:
        """Does the study wait for the rest of its images while a process starts again?"""
        return self.name == "receiving"

    @property
    def purges(self) -> bool:
        return self.name == "purging"


_receiver, _worker = partial(Point, "receiver"), partial(Point, "worker")

_WRITE_IMAGE = _receiver("pathlib:Path.rename", "before", 20)
_PUT_IMAGE = _receiver("service.store.object_spool:ObjectSpool._put", "before", 20)
_RECORD_IMAGE = _receiver("service.store.records:Records.record", "before", 20)
_FETCH_IMAGE = _worker("service.store.object_spool:ObjectSpool._copy", "before", 20)
_INFER = _worker("service.inference.onnx:OnnxBackend.infer", "before", 3)
_SAVE = _worker("service.store.spool:_sync", "after", 4)
_PUT_MANIFEST = _worker("service.store.object_spool:ObjectSpool._create", "before")
_ENGINE = "service.store.durable_engine"
_FINISH = "service.store.jobs:Jobs.finish"
_STORE = "service.network.send:_store"
_WIRE = _worker("pynetdicom.transport:AssociationSocket.send", "before", 3)
_TRIED = "service.store.deliveries:Deliveries.record"
_ASK = _worker("service.store.deliveries:Deliveries.ask", "after")
_ACCEPTED = _worker("service.store.deliveries:Deliveries.accepted", "after")
_REPORT = "service.store.deliveries:Deliveries.report"


_CREATION = "service.store.job_creation"


def _states() -> Iterator[State]:
    yield from _receiving()
    yield from _completing()
    yield from _reading()
    yield from _inferring()
    yield from _encoding()
    yield from _saving()
    yield from _sending()
    yield from _awaiting()
    yield from _purging()


def _receiving() -> Iterator[State]:
    name = "receiving"
    writing, kept, recorded = (f"image 20 is {what}" for what in ("being written", "kept", "recorded, not answered"))
    answer = _receiver("service.store.records:Records.record", "after", 20)
    yield State("receiving-file", name, writing, "receiver killed", killed(_WRITE_IMAGE, on_bucket=_PUT_IMAGE))
    yield State("receiving-row", name, f"{kept}, not recorded", "receiver killed", killed(_RECORD_IMAGE))
    yield State("receiving-answer", name, recorded, "receiver killed", killed(answer))
    yield State("receiving-all", name, f"{kept}, not recorded", "all processes killed", power_cut(_RECORD_IMAGE))
    crash = crashed("PostgreSQL", _RECORD_IMAGE)
    yield State("receiving-postgresql", name, f"{kept}, not recorded", "PostgreSQL crashes", crash, _CLUSTER)
    yield State("receiving-s3", name, writing, "S3 server crashes", crashed("S3", _PUT_IMAGE), _CLUSTER)


def _completing() -> Iterator[State]:
    for key, moment, at in (
        (
            "transaction",
            "the job is written, not committed",
            _worker("service.store.job_creation:NewJobs.create", "after"),
        ),
        ("job", "the engine does not know the job", _worker("service.store.records:Records.create_jobs", "after")),
        (
            "engine",
            "the job does not say that it is queued",
            _worker(f"{_ENGINE}.engine:DurableEngine.ensure_study", "after"),
        ),
    ):
        yield State(f"completing-{key}", "completing", moment, "worker killed", killed(at))


def _reading() -> Iterator[State]:
    name, reading, fetching = "reading", "image 20 is being read", "image 20 is being fetched"
    started = killed(_worker("service.store.jobs:Jobs.start", "after"))
    read = killed(_worker("service.store.dicom_folder:read_header", "before", 20))
    yield State("reading-started", name, "the job runs, nothing is read", "worker killed", started)
    yield State("reading-image", name, reading, "worker killed", read)
    yield State("reading-fetch", name, fetching, "worker killed", killed(_FETCH_IMAGE), _CLUSTER)
    yield State("reading-s3", name, fetching, "S3 server crashes", crashed("S3", _FETCH_IMAGE), _CLUSTER)


def _inferring() -> Iterator[State]:
    name, moment = "inferring", "the third batch"
    yield State("inferring", name, moment, "worker killed", killed(_INFER))
    yield State("inferring-all", name, moment, "all processes killed", power_cut(_INFER))
    yield State("inferring-supervisor", name, moment, "supervisor killed", supervisor_killed(_INFER))
    yield State("inferring-api", name, moment, "API killed", api_killed(_INFER))
    crash = crashed("PostgreSQL", _INFER)
    yield State("inferring-postgresql", name, moment, "PostgreSQL crashes", crash, _CLUSTER)


def _encoding() -> Iterator[State]:
    half = killed(_worker("service.evidence.encode:seal", "after", 2))
    done = killed(_worker("service.analysis.analyst:encode", "after"))
    yield State("encoding-half", "encoding", "two objects of five are encoded", "worker killed", half)
    yield State("encoding-done", "encoding", "all objects are encoded", "worker killed", done)


def _saving() -> Iterator[State]:
    name, half, kept = "saving", "results are written, not in place", "the results are kept, not recorded"
    queued = killed(_worker(f"{_ENGINE}.workflows:Workflows.enqueue_delivery", "after"))
    yield State("saving-half", name, half, "worker killed", killed(_SAVE, on_bucket=_PUT_MANIFEST))
    yield State("saving-kept", name, kept, "worker killed", killed(_worker(_FINISH, "before")))
    recorded = "results and deliveries are recorded, not queued"
    yield State("saving-recorded", name, recorded, "worker killed", killed(_worker(_FINISH, "after")))
    yield State("saving-queued", name, "the analysis does not say that it ended", "worker killed", queued)
    crash = crashed("PostgreSQL", _worker(_FINISH, "before"))
    yield State("saving-postgresql", name, kept, "PostgreSQL crashes", crash, _CLUSTER)
    yield State("saving-s3", name, half, "S3 server crashes", crashed("S3", _PUT_MANIFEST), _CLUSTER)


def _sending() -> Iterator[State]:
    name = "sending"
    marked = killed(_worker("service.store.deliveries:Deliveries.mark_sent", "after"))
    yield State("sending-marked", name, "all objects are marked as sent, none is", "worker killed", marked)
    for number, kind in enumerate(OBJECTS, 1):
        begun, taken = _worker(_STORE, "before", number), _worker(_STORE, "after", number)
        half = f"{kind} is half on the wire"
        yield State(f"sending-{number}-half", name, half, "worker killed", killed(begun, _WIRE))
        yield State(
            f"sending-{number}-taken", name, f"the PACS has {kind}, we do not know", "worker killed", killed(taken)
        )
    recorded = killed(_worker(_TRIED, "after"))
    yield State("sending-recorded", name, "all objects are recorded as stored", "worker killed", recorded)
    moment, third = f"the PACS has {OBJECTS[2]}, we do not know", _worker(_STORE, "after", 3)
    yield State("sending-all", name, moment, "all processes killed", power_cut(third))
    crash = crashed("PostgreSQL", third)
    yield State("sending-postgresql", name, moment, "PostgreSQL crashes", crash, _CLUSTER)
    yield State("sending-pacs-restarted", name, moment, "PACS restarted", pacs_restarted(third))
    half, begun = f"{OBJECTS[2]} is half on the wire", _worker(_STORE, "before", 3)
    yield State("sending-pacs-restarted-half", name, half, "PACS restarted", pacs_restarted(begun, _WIRE))
    moment, tried = "until the second attempt", _worker(_TRIED, "after", 2)
    yield State("sending-pacs-away", name, moment, "PACS stopped", pacs_away(tried))
    yield State("sending-pacs-rejecting", name, moment, "PACS rejects associations", pacs_rejecting(tried))
    yield State("sending-pacs-refusing", name, moment, "PACS answers 0xA700", pacs_refusing(tried))
    yield State("sending-pacs-slow", name, "until commitment is asked for", "PACS slow", pacs_slow(0.2, _ACCEPTED))


def _awaiting() -> Iterator[State]:
    name, unasked, unkept = "awaiting commitment", "the question is recorded, not asked", "the report came, is not kept"
    asked = killed(_worker("service.network.commitment:_ask", "after"))
    yield State("awaiting-unasked", name, unasked, "worker killed", killed(_ASK))
    yield State("awaiting-unnoted", name, "the PACS was asked, we do not know", "worker killed", asked)
    yield State("awaiting-accepted", name, "the PACS said that it will report", "worker killed", killed(_ACCEPTED))
    report = _receiver(_REPORT, "before")
    yield State("awaiting-unkept", name, unkept, "receiver killed", killed(report))
    unanswered = killed(_receiver(_REPORT, "after"))
    yield State("awaiting-unanswered", name, "the report is kept, not answered", "receiver killed", unanswered)
    yield State("awaiting-all", name, unkept, "all processes killed", power_cut(report))
    yield State("awaiting-postgresql", name, unkept, "PostgreSQL crashes", crashed("PostgreSQL", report), _CLUSTER)
    yield State("awaiting-pacs-restarted", name, unasked, "PACS restarted", pacs_restarted(_ASK))
    yield State("awaiting-pacs-losing", name, unasked, "PACS loses an object", pacs_losing(_ASK))


def _purging() -> Iterator[State]:
    name, removed = "purging", "images are removed, still listed"
    written = killed(_worker("service.store.retention:_give_up", "after"))
    yield State("purging-transaction", name, "the list of files is written, not committed", "worker killed", written)
    listed = killed(_worker("service.store.retention:Retention.give_up", "after"))
    yield State("purging-listed", name, "the files are listed, none is removed", "worker killed", listed)
    images = _worker("service.store.spool:Spool.remove", "after")
    objects = _worker("service.store.object_spool:ObjectSpool.remove", "after")
    yield State("purging-images", name, removed, "worker killed", killed(images, on_bucket=objects))
    results = _worker("service.store.spool:Spool.remove_results", "after")
    attempts = _worker("service.store.object_spool:ObjectSpool.remove_results", "after")
    moment = "the results are removed, still listed"
    yield State("purging-results", name, moment, "worker killed", killed(results, on_bucket=attempts))
    yield State("purging-all", name, removed, "all processes killed", power_cut(images, on_bucket=objects))
    crash = crashed("PostgreSQL", objects)
    yield State("purging-postgresql", name, removed, "PostgreSQL crashes", crash, _CLUSTER)
    begun = _worker("service.store.object_spool:ObjectSpool.remove", "before")
    yield State(
        "purging-s3", name, "the files are listed, none is removed", "S3 server crashes", crashed("S3", begun), _CLUSTER
    )


STATES: tuple[State, ...] = tuple(_states())


def points() -> list[Point]:
    """Every moment at which something happens."""
    return [point for state in STATES for bucket in (False, True) for point in state.accident.points(bucket)]
