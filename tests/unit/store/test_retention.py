"""What may be purged and when, on both databases; kills in the middle; what arrives meanwhile."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
import sqlalchemy as sa
from arrivals import arrival
from obstore.store import MemoryStore
from pydicom.uid import MRImageStorage

from service.domain.arrival import Arrival
from service.domain.job import Confirm, Delivered, Event, IllegalTransition, ObjectDelivery, Result, State, StoredObject
from service.domain.ports import Spool
from service.errors import Reason, Refusal
from service.store.deliveries import Deliveries
from service.store.engine import sqlite_engine
from service.store.intake import Recorded
from service.store.jobs import Jobs
from service.store.migrations import upgrade
from service.store.object_spool import ObjectSpool
from service.store.planning import Plan
from service.store.records import Records
from service.store.retention import Retention
from service.store.shadows import Shadow, Shadows, results_of
from service.store.spool import Spool as DiskSpool
from service.store.tables import metadata, removals, reviews

KEEP = timedelta(days=7)
NOW = datetime.now(UTC)
LATER = NOW + KEEP + timedelta(hours=1)
REFUSED = Result(refusals={"S.1": (Refusal(Reason.TILT, "12 degrees."),)})


@pytest.fixture(params=["disk", "object store"])
def spool(request: pytest.FixtureRequest, tmp_path: Path) -> Spool:
    return DiskSpool(tmp_path / "data") if request.param == "disk" else ObjectSpool(MemoryStore())


@pytest.fixture
def retention(engine: sa.Engine) -> Retention:
    return Retention(engine)


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
        (job_id,) = self.records.create_due_jobs(NOW + timedelta(seconds=1), lambda _: 0.0)
        return job_id

    def finish(self, job_id: str, event: Event, result: Result, to: str | None = None) -> None:
        self.jobs.start(job_id, NOW)
        plans = {to: Plan([o.sop_instance_uid for o in result.objects], Confirm.COMMITMENT)} if to else {}
        self.jobs.finish(job_id, event, result, NOW, plans)

    def results(self, job_id: str) -> Result:
        paths = self.spool.save_results(job_id, {"a.dcm": b"result"})
        stored = StoredObject("study", "1.2", f"{job_id}.1", paths["a.dcm"], "0" * 64)
        return Result(series_uid="S.1", objects=(stored,))

    def store(self, job_id: str, state: Delivered) -> None:
        self.deliveries.mark_sent(job_id, "pacs")
        self.deliveries.record(job_id, "pacs", [ObjectDelivery(f"{job_id}.1", state)], NOW, None)

    def delivered(self, *instances: str) -> str:
        """The job of a study with these images, all of it committed."""
        for instance in instances:
            self.receive(instance)
        job_id = self.job()
        self.finish(job_id, Event.ANALYSE, self.results(job_id), "pacs")
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


@pytest.fixture
def ward(engine: sa.Engine, spool: Spool) -> Ward:
    return Ward(engine, spool)


def test_a_delivered_study_is_purged_when_its_time_has_passed_and_not_before(ward: Ward) -> None:
    job_id = ward.delivered("1", "2")
    assert ward.due(NOW + KEEP - timedelta(hours=1)) == []
    assert ward.retention.give_up("S", NOW - timedelta(hours=1), NOW) is None
    assert ward.due() == ["S"]
    given_up = ward.retention.give_up("S", LATER - KEEP, LATER)
    assert given_up is not None
    assert (given_up.images, given_up.size_bytes, given_up.jobs) == (2, 14, 1)
    assert ward.retention.give_up("S", LATER - KEEP, LATER) is None, "it was given up already"
    assert len(ward.files()) == 2
    ward.remove()
    assert (ward.files(), ward.records.paths(), ward.due()) == (set(), set(), [])
    assert ward.results_are_gone(job_id), "nothing of the old results is left"
    assert ward.jobs.get(job_id).purged_at == LATER


def test_nothing_is_left_on_the_disk(engine: sa.Engine, tmp_path: Path) -> None:
    ward = Ward(engine, DiskSpool(tmp_path / "data"))
    ward.delivered("1", "2")
    ward.purge()
    assert [p.name for p in (tmp_path / "data").rglob("*")] in (["spool", "results"], ["results", "spool"])


def test_what_was_never_confirmed_is_kept(ward: Ward) -> None:
    ward.receive("1")
    assert ward.due() == [], "its job is still to be made"
    job_id = ward.job()
    assert ward.due() == [], "it is not analysed"
    ward.finish(job_id, Event.ANALYSE, ward.results(job_id), "pacs")
    assert ward.due() == [], "nothing was sent"
    ward.store(job_id, Delivered.STORED)
    assert ward.due() == [], "nothing was committed"
    ward.deliveries.give_up(job_id, "pacs", "no", NOW)
    assert (ward.jobs.get(job_id).state, ward.due()) == (State.UNDELIVERED, [])
    ward.deliveries.cancel(job_id, "me", NOW)
    assert ward.due() == ["S"], "the operator has decided"


def test_the_time_counts_from_the_last_thing_that_happened(ward: Ward) -> None:
    job_id, day = ward.delivered("1"), timedelta(days=1)
    again = replace(ward.slice("1"), received_at=NOW + day)
    assert ward.record(ward.save(again), again) is Recorded.DUPLICATE
    assert (ward.due(LATER), ward.due(LATER + day)) == ([], ["S"])
    ward.deliveries.resend(job_id, {"pacs": Plan([f"{job_id}.1"], Confirm.NONE)}, "me", NOW + 2 * day)
    ward.store(job_id, Delivered.STORED)
    assert (ward.due(LATER + day), ward.due(LATER + 2 * day)) == ([], ["S"])


def test_a_study_of_which_no_destination_wants_anything_goes(ward: Ward) -> None:
    ward.receive("1")
    job_id = ward.job()
    ward.finish(job_id, Event.ANALYSE, ward.results(job_id))
    assert (ward.jobs.get(job_id).state, ward.due()) == (State.ANALYSED, ["S"])
    ward.purge()
    assert (ward.files(), ward.results_are_gone(job_id)) == (set(), True)


def test_a_failed_study_waits_for_an_operator(ward: Ward) -> None:
    ward.receive("1")
    job_id = ward.job()
    ward.finish(job_id, Event.FAIL, Result(error="no"))
    assert ward.due() == []
    ward.deliveries.cancel(job_id, "me", NOW)
    assert ward.due() == ["S"]


def test_a_failure_that_a_newer_job_made_good_holds_nothing(ward: Ward) -> None:
    ward.receive("1")
    ward.finish(ward.job(), Event.FAIL, Result(error="no"))
    ward.delivered("2")
    assert ward.due() == ["S"]


def send_again(ward: Ward, job_id: str) -> None:
    ward.deliveries.resend(job_id, {"pacs": Plan([f"{job_id}.1"], Confirm.NONE)}, "me", NOW)
    ward.store(job_id, Delivered.STORED)


def cancel(ward: Ward, job_id: str) -> None:
    ward.deliveries.cancel(job_id, "me", NOW)


@pytest.mark.parametrize("decision", [send_again, cancel])
def test_a_refused_study_goes_when_its_notice_has_arrived_or_nobody_wants_it(
    ward: Ward, decision: Callable[[Ward, str], None]
) -> None:
    ward.receive("1")
    job_id = ward.job()
    objects = ward.results(job_id).objects
    ward.finish(job_id, Event.REFUSE, Result(refusals=REFUSED.refusals, objects=objects), "pacs")
    assert ward.due() == []
    ward.store(job_id, Delivered.REFUSED)
    assert ward.due() == [], "nobody was told why"
    decision(ward, job_id)
    assert ward.due() == ["S"]


def test_a_refused_study_without_a_notice_goes(ward: Ward) -> None:
    ward.receive("1")
    ward.finish(ward.job(), Event.REFUSE, REFUSED)
    assert ward.due() == ["S"]


def test_a_study_that_never_makes_a_job_goes_too(ward: Ward) -> None:
    ward.receive("1", sop_class_uid=str(MRImageStorage), modality="MR")
    assert ward.due(NOW + timedelta(days=1)) == []
    ward.purge()
    assert (ward.files(), ward.due()) == (set(), [])


def test_superseded_jobs_go_with_the_study(ward: Ward) -> None:
    first, second = ward.delivered("1"), ward.delivered("2")
    ward.purge()
    assert ward.results_are_gone(first)
    assert ward.results_are_gone(second)


def test_a_slice_that_comes_before_the_purge_keeps_the_study(ward: Ward) -> None:
    ward.delivered("1")
    assert ward.due() == ["S"]
    ward.receive("2")
    assert ward.retention.give_up("S", LATER - KEEP, LATER) is None
    assert len(ward.files()) == 2


@pytest.mark.parametrize("when", ["given up", "removed"])
def test_the_same_bytes_that_come_again_are_kept(ward: Ward, when: str) -> None:
    """Saved before the purge, which removes them; recorded after it."""
    ward.delivered("1", "2")
    one = ward.slice("1")
    path = ward.save(one)
    ward.give_up()
    if when == "removed":
        ward.remove()
        assert ward.record(path, one) is Recorded.GONE
        assert ward.records.paths() == set(), "nothing is recorded that is not there"
        path = ward.save(one)
    assert ward.record(path, one) is Recorded.NEW
    ward.remove()
    assert ward.files() == ward.records.paths() == {path}


def test_a_file_whose_study_is_forgotten_before_it_is_recorded_is_saved_again(ward: Ward) -> None:
    ward.delivered("1")
    one = ward.slice("1")
    path = ward.save(one)
    ward.purge()
    assert ward.retention.forget("S", LATER + KEEP)
    for _ in range(2):
        assert ward.record(path, one) is Recorded.GONE
    assert ward.record(ward.save(one), one) is Recorded.NEW
    assert ward.files() == ward.records.paths() == {path}


def test_a_file_is_taken_off_the_list_for_good_before_its_sender_is_told(tmp_path: Path) -> None:
    """A receiver's other commits may be lost in a power cut: the spool gives them back, but not this one."""
    upgrade(sqlite_engine(tmp_path / "records.db"))
    receiver = sqlite_engine(tmp_path / "records.db", "NORMAL")
    ward, full, levels = Ward(receiver, DiskSpool(tmp_path)), 2, list[int]()
    ward.delivered("1")
    ward.give_up()
    sa.event.listen(receiver, "commit", lambda c: levels.append(c.exec_driver_sql("PRAGMA synchronous").scalar()))
    ward.receive("1")
    assert levels[-1] == full
    ward.receive("2")
    assert levels[-1] < full


def test_the_removal_of_a_file_and_its_arrival_wait_for_each_other(ward: Ward) -> None:
    """A file that is on the list is recorded again while it is removed: whoever is second sees what the first did."""
    from threading import Thread

    ward.delivered("1", "2")
    ward.give_up()
    one, outcome = ward.slice("1"), []

    class Slow:
        def remove(self, *paths: str) -> None:
            outcome.append("removing")
            arriving.start()
            arriving.join(0.5)
            outcome.append("removed")
            ward.spool.remove(*paths)

        def remove_results(self, job_id: str) -> None:
            ward.spool.remove_results(job_id)

    path = ward.save(one)
    arriving = Thread(target=lambda: outcome.append(ward.record(path, one)))
    ward.retention.remove("S", Slow())  # type: ignore[arg-type]
    arriving.join()
    assert outcome == ["removing", "removed", Recorded.GONE]


def test_a_purged_study_begins_anew(ward: Ward, engine: sa.Engine) -> None:
    first = ward.delivered("1", "2")
    ward.purge()
    ward.receive("3")
    second = ward.job()
    assert ward.jobs.get(second).supersedes == first
    assert [s.paths for s in ward.records.series_of("S")] == [tuple(ward.files())]
    assert ward.records.is_remainder(second), "it sees one slice only"
    assert not ward.records.is_remainder(first)
    with engine.begin() as connection:
        journal = connection.execute(sa.text("SELECT step, detail FROM events ORDER BY id")).all()
    steps = [step for step, _ in journal]
    assert steps.index("purge") < steps.index("begin anew")
    assert dict(journal)["purge"] == "2 received files (0.0 MB) and the results of 1 jobs"


def test_after_a_new_analysis_a_refusal_is_about_the_whole_study_again(ward: Ward) -> None:
    ward.delivered("1")
    ward.purge()
    ward.delivered("2")
    ward.receive("3")
    assert not ward.records.is_remainder(ward.job())


def test_the_same_images_again_are_recognised(ward: Ward) -> None:
    first = ward.delivered("1", "2")
    ward.purge()
    ward.receive("1")
    part = ward.job()
    assert ward.records.same_again(ward.jobs.get(part)) is None
    ward.finish(part, Event.REFUSE, REFUSED)
    ward.receive("2")
    assert ward.records.same_again(ward.jobs.get(ward.job())) == first


def test_what_was_purged_cannot_be_done_again_by_name(ward: Ward) -> None:
    job_id = ward.delivered("1")
    ward.purge()
    plans = {"pacs": Plan([f"{job_id}.1"], Confirm.NONE)}
    for again in (
        lambda: ward.deliveries.resend(job_id, plans, "me", NOW),
        lambda: ward.deliveries.retry(job_id, plans, "me", NOW),
        lambda: ward.records.create_job_again("S", "me", NOW),
    ):
        with pytest.raises(IllegalTransition, match=r"purged.*: send the study again"):
            again()
    assert ward.jobs.get(job_id).state is State.DELIVERED


class Killed(BaseException):
    """As if the process had ended here."""


@pytest.mark.parametrize("step", ["remove", "remove_results"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_while_files_are_removed_leaves_nothing_behind(ward: Ward, step: str, moment: str) -> None:
    job_id = ward.delivered("1", "2")
    ward.give_up()

    class Dying:
        def __getattr__(self, name: str) -> Callable[..., None]:
            def call(*arguments: str) -> None:
                if name == step and moment == "before":
                    raise Killed
                getattr(ward.spool, name)(*arguments)
                if name == step:
                    raise Killed

            return call

    with pytest.raises(Killed):
        ward.retention.remove("S", Dying())  # type: ignore[arg-type]
    assert ward.retention.to_remove() == ["S"]
    ward.remove()
    assert (ward.files(), ward.retention.to_remove()) == (set(), [])
    assert ward.results_are_gone(job_id)


def test_a_starting_receiver_leaves_what_is_to_be_removed_alone(ward: Ward) -> None:
    from service.store.inbox import Inbox

    ward.delivered("1")
    ward.give_up()
    assert Inbox(ward.spool, ward.records).reconcile(NOW) == 0
    assert ward.retention.to_remove() == ["S"]


def test_the_history_goes_last_and_whole(ward: Ward, engine: sa.Engine) -> None:
    ward.delivered("1")
    reviewed = {"job_id": ward.delivered("2"), "at": NOW, "by_whom": "ada", "verdict": "accepted", "comment": ""}
    with engine.begin() as connection:
        connection.execute(sa.insert(reviews).values(reviewed))
    soon = LATER + timedelta(days=1)
    assert ward.retention.past(soon) == []
    ward.give_up()
    assert ward.retention.past(soon) == [], "its files are still to be removed"
    ward.remove()
    assert ward.retention.past(LATER) == []
    assert not ward.retention.forget("S", LATER)
    assert ward.retention.past(soon) == ["S"]
    assert ward.retention.forget("S", soon)
    assert not ward.retention.forget("S", soon)
    with engine.begin() as connection:
        assert {
            t.name: n
            for t in metadata.sorted_tables
            if (n := connection.scalar(sa.select(sa.func.count()).select_from(t)))
        } == {}


def test_a_study_that_came_again_keeps_its_history(ward: Ward) -> None:
    ward.delivered("1")
    ward.purge()
    ward.receive("2")
    assert ward.retention.past(LATER + timedelta(days=400)) == []
    assert not ward.retention.forget("S", LATER + timedelta(days=400))


def test_files_are_removed_a_few_at_a_time(ward: Ward, engine: sa.Engine) -> None:
    ward.delivered(*map(str, range(150)))
    ward.give_up()
    assert ward.retention.remove("S", ward.spool)
    with engine.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(removals)) == 51


def test_what_candidates_said_in_the_shadow_goes_with_the_job_and_its_rows_are_forgotten(ward: Ward) -> None:
    ward.receive("1")
    job_id = ward.job()
    ward.finish(job_id, Event.ANALYSE, replace(ward.results(job_id), shadows={"lobes": "2", "lungs": "1"}))
    ward.spool.save_results(results_of(job_id, "lobes", "2"), {"result.json": b"what the candidate said"})
    shadows = Shadows(ward.engine)
    shadows.end(job_id, "lobes", "2", Shadow.COMPARED, NOW)
    ward.purge()
    again = ward.spool.save_results(results_of(job_id, "lobes", "2"), {"other.json": b"nothing was kept"})
    assert set(again) == {"other.json"}
    assert [one["state"] for one in shadows.of("lobes")] == ["compared"], "what was found stays"
    assert ward.retention.forget("S", LATER + timedelta(days=1))
    assert shadows.of("lobes") == shadows.of("lungs") == []
