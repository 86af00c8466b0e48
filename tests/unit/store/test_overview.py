"""What alerts ask of the tables: since when something waits, and when something last arrived."""

import sqlalchemy as sa
from helpers.arrivals import arrival, at, create_due_jobs

from service.domain.delivery import Confirm, ObjectDelivery
from service.domain.delivery_state import Delivered
from service.domain.job import Result, StoredObject
from service.store.deliveries import Deliveries
from service.store.jobs import Jobs
from service.store.overview import Overview
from service.store.planning import Plan
from service.store.records import Records
from service.store.retention import Retention

CONFIRMED, PLAIN = "archive", "pacs"


def begun(records: Records, study_uid: str, seconds: float) -> str:
    """A job that was made then."""
    records.record(arrival(study_uid=study_uid), f"spool/{study_uid}", "a" * 64, lambda *_: True)
    (job_id,) = create_due_jobs(records, at(seconds), lambda _: 1.0)
    return job_id


def finished(jobs: Jobs, job_id: str, uid: str, series_uid: str | None = "1.2") -> None:
    """With one object, at 200 s on its way to both destinations."""
    jobs.start(job_id, at(150))
    plans = {name: Plan([uid], confirm) for name, confirm in ((CONFIRMED, Confirm.QUERY), (PLAIN, Confirm.NONE))}
    result = Result(series_uid=series_uid, objects=[StoredObject("study", "1.2", uid, f"results/{uid}", "b" * 64)])
    jobs.finish(job_id, result, at(200), plans)


def test_the_oldest_that_waits_counts_and_what_is_at_work_does_not(
    engine: sa.Engine, records: Records, jobs: Jobs
) -> None:
    overview = Overview(engine)
    assert overview.waiting_since() is None
    first = begun(records, "1.1", 100)
    begun(records, "1.2", 130)
    assert overview.waiting_since() == at(100)
    jobs.start(first, at(140))
    assert overview.waiting_since() == at(130)


def test_the_oldest_at_work_counts_from_when_it_was_begun_and_no_more_when_it_has_ended(
    engine: sa.Engine, records: Records, jobs: Jobs
) -> None:
    overview = Overview(engine)
    first, second = begun(records, "1.1", 100), begun(records, "1.2", 130)
    assert overview.running_since() is None, "both wait"
    jobs.start(second, at(140))
    jobs.start(first, at(160))
    assert overview.running_since() == at(140)
    jobs.finish(second, Result(error="no memory"), at(180))
    assert overview.running_since() == at(160)
    jobs.retry(first, "the disk is full")
    assert overview.running_since() is None, "it waits for its next attempt"


def test_an_object_is_on_its_way_until_its_destination_has_confirmed_it(
    engine: sa.Engine, records: Records, jobs: Jobs, deliveries: Deliveries
) -> None:
    overview = Overview(engine)
    assert (overview.undelivered(), overview.last_delivered()) == ({}, {})
    job = begun(records, "1.1", 100)
    finished(jobs, job, "1.9")
    assert overview.undelivered() == {CONFIRMED: (1, at(200)), PLAIN: (1, at(200))}
    for name in (CONFIRMED, PLAIN):
        deliveries.record(job, name, [ObjectDelivery("1.9", Delivered.STORED, 0)], at(300), None)
    assert overview.undelivered() == {CONFIRMED: (1, at(200))}, "stored, and not yet confirmed"
    assert overview.last_delivered() == {PLAIN: at(300)}
    deliveries.confirm(job, CONFIRMED, frozenset(["1.9"]), {}, at(400))
    assert overview.undelivered() == {}
    assert overview.last_delivered() == {PLAIN: at(300), CONFIRMED: at(400)}


def test_what_was_stored_in_words_that_nobody_understood_is_delivered_when_it_is_found(
    engine: sa.Engine, records: Records, jobs: Jobs, deliveries: Deliveries
) -> None:
    overview, job = Overview(engine), begun(records, "1.1", 100)
    finished(jobs, job, "1.9")
    deliveries.record(job, PLAIN, [ObjectDelivery("1.9", Delivered.STORED, None)], at(300), None)
    assert overview.last_delivered() == {}
    deliveries.confirm(job, PLAIN, frozenset(["1.9"]), {}, at(400))
    assert overview.last_delivered() == {PLAIN: at(400)}


def test_notices_that_nobody_sends_any_more_wait_for_nothing(engine: sa.Engine, records: Records, jobs: Jobs) -> None:
    """A newer job of the study came: what an earlier one had to say of a refusal is not sent."""
    finished(jobs, begun(records, "1.1", 100), "1.9", None)
    assert Overview(engine).undelivered().keys() == {CONFIRMED, PLAIN}
    records.record(arrival("2", study_uid="1.1"), "spool/2", "c" * 64, lambda *_: True)
    create_due_jobs(records, at(300), lambda _: 1.0)
    assert Overview(engine).undelivered() == {}


def test_a_purge_is_overdue_when_a_study_could_have_gone_or_its_files_are_still_there(
    engine: sa.Engine, records: Records, jobs: Jobs
) -> None:
    job, retention = begun(records, "1.1", 100), Retention(engine)
    jobs.start(job, at(150))
    jobs.finish(job, Result(series_uid="1.2"), at(200))
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE events SET at = '2026-03-02 00:00:00'"))
    late = at(10_000_000)
    assert (retention.overdue(at(-100_000_000)), retention.overdue(None)) == (0, 0)
    assert retention.overdue(late) == 1
    assert retention.give_up("1.1", late, late) is not None
    assert (retention.overdue(late), retention.overdue(None)) == (1, 1), "its files are still to be removed"
