"""Studies that come, are worked on and are purged, on real tables and a real spool."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import sqlalchemy as sa

from helpers.arrivals import arrival, create_due_jobs
from service.domain.arrival import Arrival
from service.domain.delivery import Confirm, ObjectDelivery
from service.domain.delivery_state import Delivered
from service.domain.job import Result, StoredObject
from service.domain.job_state import State
from service.domain.ports import Spool
from service.errors import Reason, Refusal
from service.store.deliveries import Deliveries
from service.store.intake import Recorded
from service.store.jobs import Jobs
from service.store.planning import Plan
from service.store.records import Records
from service.store.retention import Retention

KEEP = timedelta(days=7)
NOW = datetime.now(UTC)
LATER = NOW + KEEP + timedelta(hours=1)
REFUSED = Result(refusals={"S.1": (Refusal(Reason.TILT, "12 degrees."),)})


class Ward:
    """Studies that come and are worked on; all of it happens at NOW."""

    def __init__(self, engine: sa.Engine, spool: Spool) -> None:
        self.engine, self.spool = engine, spool
        self.records, self.jobs, self.deliveries = Records(engine), Jobs(engine), Deliveries(engine)
        self.retention = Retention(engine)

    def receive(self, instance: str, **more: str) -> Recorded:
        return self.record(self.save(one := self.slice(instance, **more)), one)

    def slice(self, instance: str, **more: str) -> Arrival:
        one = arrival(instance, content=f"image {instance}".encode(), **more)
        return Arrival(one.identity, one.calling_ae, one.called_ae, one.peer_address, NOW, one.content)

    def save(self, one: Arrival) -> str:
        return self.spool.save(one.identity, one.content, sha256(one.content).hexdigest())

    def record(self, path: str, one: Arrival) -> Recorded:
        return self.records.record(one, path, sha256(one.content).hexdigest(), self.spool.is_there)

    def job(self) -> str:
        (job_id,) = create_due_jobs(self.records, NOW + timedelta(seconds=1), lambda _: 0.0)
        return job_id

    def finish(self, job_id: str, result: Result, to: str | None = None) -> None:
        self.jobs.start(job_id, NOW)
        plans = {to: Plan([o.sop_instance_uid for o in result.objects], Confirm.COMMITMENT)} if to else {}
        self.jobs.finish(job_id, result, NOW, plans)

    def results(self, job_id: str) -> Result:
        paths = self.spool.save_results(job_id, {"a.dcm": b"result"})
        stored = StoredObject("study", "1.2", f"{job_id}.1", paths["a.dcm"], "0" * 64)
        return Result(series_uid="S.1", objects=(stored,))

    def store(self, job_id: str, state: Delivered) -> None:
        self.deliveries.mark_sent(job_id, "pacs", [f"{job_id}.1"])
        self.deliveries.record(job_id, "pacs", [ObjectDelivery(f"{job_id}.1", state, 0)], NOW, None)

    def delivered(self, *instances: str) -> str:
        """The job of a study with these images, all of it committed."""
        for instance in instances:
            self.receive(instance)
        job_id = self.job()
        self.finish(job_id, self.results(job_id), "pacs")
        self.store(job_id, Delivered.STORED)
        self.deliveries.confirm(job_id, "pacs", frozenset([f"{job_id}.1"]), {}, NOW)
        assert self.jobs.get(job_id).state is State.DELIVERED
        return job_id

    def due(self, at: datetime = LATER) -> list[str]:
        return self.retention.due(at - KEEP)

    def give_up(self, at: datetime = LATER) -> None:
        assert self.retention.give_up("S", at - KEEP, at) is not None

    def remove(self) -> None:
        for study_uid in self.retention.to_remove():
            while self.retention.remove(study_uid, self.spool):
                pass

    def purge(self, at: datetime = LATER) -> None:
        self.give_up(at)
        self.remove()

    def files(self) -> set[str]:
        return set(self.spool.received())

    def results_are_gone(self, job_id: str) -> bool:
        return b"result" not in self.contents(self.spool.save_results(job_id, {"a.dcm": b"none"})["a.dcm"])

    def contents(self, path: str) -> bytes:
        with self.spool.local([path]) as (file,):
            return file.read_bytes()
