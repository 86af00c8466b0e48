"""Results, deliveries, and how operators see them."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from arrivals import arrival, at, keep

from service.domain.job import Delivered, Event, IllegalTransition, ObjectDelivery, Result, State, StoredObject
from service.errors import Flag, Reason, Refusal
from service.store.jobs import Jobs
from service.store.overview import Overview
from service.store.records import Records
from service.store.spool import Spool

SEG = StoredObject("lobes.seg", "1.2.840.10008.5.1.4.1.1.66.4", "1.1", "results/j/lobes.seg.dcm", "a" * 64)
SR = StoredObject("measurements.sr", "1.2.840.10008.5.1.4.1.1.88.34", "1.2", "results/j/m.sr.dcm", "b" * 64)
ANALYSED = Result(
    series_uid="S.1",
    refusals={"S.2": [Refusal(Reason.TOO_FEW, "12 slices.")]},
    flags=[Flag.THICK_SLICES],
    severity_total=9,
    timings_s={"read": 1.5},
    objects=[SEG, SR],
)


@pytest.fixture
def job(engine: sa.Engine, tmp_path: Path) -> str:
    """A created job whose CT was acquired 10 minutes before it came."""
    records = Records(engine)
    keep(Spool(tmp_path), records, arrival("1", acquired_at=at(-600)))
    [job_id] = records.create_due_jobs(at(60), lambda _: 60.0)
    return job_id


def analysed(jobs: Jobs, job: str) -> None:
    jobs.start(job, at(70))
    jobs.finish(job, Event.ANALYSE, ANALYSED, at(90))


def outcomes(state: Delivered, objects: Sequence[StoredObject] = (SEG, SR)) -> list[ObjectDelivery]:
    return [ObjectDelivery(o.sop_instance_uid, state, 0 if state is Delivered.STORED else None, "why") for o in objects]


def test_the_outbox_empties_when_the_engine_has_the_job(jobs: Jobs, job: str) -> None:
    assert jobs.to_enqueue() == [job]
    jobs.mark_queued(job)
    assert jobs.to_enqueue() == []
    assert jobs.get(job).state is State.QUEUED


def test_a_worker_quicker_than_the_outbox_keeps_its_state(jobs: Jobs, job: str) -> None:
    jobs.start(job, at(61))
    jobs.mark_queued(job)
    assert jobs.get(job).state is State.RUNNING


def test_a_failed_attempt_is_queued_again(jobs: Jobs, job: str) -> None:
    jobs.start(job, at(61))
    assert jobs.retry(job, "model server away").state is State.QUEUED
    assert jobs.start(job, at(120)).state is State.RUNNING


def test_an_illegal_step_changes_nothing(jobs: Jobs, job: str) -> None:
    with pytest.raises(IllegalTransition):
        jobs.finish(job, Event.ANALYSE, ANALYSED, at(90))
    assert jobs.get(job).state is State.CREATED
    assert jobs.objects(job) == []


def test_an_unknown_job(jobs: Jobs, engine: sa.Engine) -> None:
    with pytest.raises(LookupError, match="there is no job nobody"):
        jobs.get("nobody")
    assert Overview(engine).job("nobody") is None


def test_results_are_kept_in_order(jobs: Jobs, job: str) -> None:
    analysed(jobs, job)
    assert jobs.objects(job) == [SEG, SR]
    assert jobs.get(job).state is State.ANALYSED


def test_a_job_is_delivered_when_every_destination_has_everything(jobs: Jobs, job: str) -> None:
    analysed(jobs, job)
    assert jobs.plan_deliveries(job, ["pacs", "archive"]).state is State.DELIVERING
    assert jobs.plan_deliveries(job, ["pacs", "archive"]).state is State.DELIVERING, "planned again after a kill"
    assert jobs.record_delivery(job, "pacs", outcomes(Delivered.STORED), at(100), None).state is State.DELIVERING
    assert jobs.undelivered(job, "pacs") == []
    assert jobs.undelivered(job, "archive") == [SEG, SR]
    assert jobs.record_delivery(job, "archive", outcomes(Delivered.STORED), at(120), None).state is State.DELIVERED


def test_only_what_is_missing_is_sent_again(jobs: Jobs, job: str, engine: sa.Engine) -> None:
    analysed(jobs, job)
    jobs.plan_deliveries(job, ["pacs"])
    first = [*outcomes(Delivered.STORED, [SEG]), *outcomes(Delivered.PENDING, [SR])]
    assert jobs.record_delivery(job, "pacs", first, at(100), at(115)).state is State.DELIVERING
    assert jobs.undelivered(job, "pacs") == [SR]
    shown = Overview(engine).job(job)
    assert shown is not None
    seg, sr = sorted(shown["deliveries"], key=lambda d: d["sop_instance_uid"])
    assert (seg["state"], seg["delivered_at"], seg["next_attempt_at"]) == ("stored", at(100), None)
    assert (sr["state"], sr["attempts"], sr["last_error"], sr["next_attempt_at"]) == ("pending", 1, "why", at(115))
    assert jobs.record_delivery(job, "pacs", outcomes(Delivered.STORED, [SR]), at(116), None).state is State.DELIVERED


def test_an_attempt_recorded_again_after_a_kill_changes_nothing(jobs: Jobs, job: str, engine: sa.Engine) -> None:
    analysed(jobs, job)
    jobs.plan_deliveries(job, ["pacs"])
    jobs.record_delivery(job, "pacs", outcomes(Delivered.STORED), at(100), None)
    assert jobs.record_delivery(job, "pacs", [], at(200), None).state is State.DELIVERED
    assert Overview(engine).list_jobs()[0]["delivered_at"] == at(100)


def test_what_was_refused_for_good_waits_for_an_operator(jobs: Jobs, job: str) -> None:
    analysed(jobs, job)
    jobs.plan_deliveries(job, ["pacs"])
    mixed = [*outcomes(Delivered.STORED, [SEG]), *outcomes(Delivered.FAILED, [SR])]
    assert jobs.record_delivery(job, "pacs", mixed, at(100), None).state is State.UNDELIVERED
    assert jobs.undelivered(job, "pacs") == []
    assert jobs.plan_deliveries(job, ["pacs"]).state is State.DELIVERING
    assert jobs.undelivered(job, "pacs") == [SR]


def test_an_operator_sees_the_job_with_reasons_and_latency(jobs: Jobs, job: str, engine: sa.Engine) -> None:
    analysed(jobs, job)
    jobs.plan_deliveries(job, ["pacs"])
    jobs.record_delivery(job, "pacs", outcomes(Delivered.STORED), at(120), None)
    shown = Overview(engine).job(job)
    assert shown is not None
    assert shown["latency_s"] == 720.0
    assert (shown["severity_total"], shown["flags"], shown["timings_s"]) == (9, ["THICK_SLICES"], {"read": 1.5})
    assert shown["warnings"] == [Flag.THICK_SLICES.sentence]
    assert shown["reasons"] == [
        {
            "series_uid": "S.2",
            "reason": "TOO_FEW",
            "detail": "12 slices.",
            "sentence": "The series has too few slices.",
        }
    ]
    assert shown["superseded_by"] is None


def test_jobs_are_listed_newest_first_and_filtered(engine: sa.Engine, tmp_path: Path, job: str, jobs: Jobs) -> None:
    records, overview = Records(engine), Overview(engine)
    keep(Spool(tmp_path), records, arrival("2", seconds=100))
    [newer] = records.create_due_jobs(at(160), lambda _: 60.0)
    keep(Spool(tmp_path), records, arrival("1", seconds=200, study_uid="T"))
    [other] = records.create_due_jobs(at(260), lambda _: 60.0)

    def ids(**filters: object) -> list[str]:
        return [row["job_id"] for row in overview.list_jobs(**filters)]  # type: ignore[arg-type]

    assert ids() == [other, newer, job]
    assert ids(study_uid="S") == [newer, job]
    assert ids(state="superseded") == [job]
    assert ids(since=at(160)) == [other, newer]
    assert ids(limit=1, offset=1) == [newer]
    shown = overview.job(job)
    assert shown is not None
    assert shown["superseded_by"] == newer
    assert overview.list_jobs()[0]["latency_s"] is None


def test_counts_for_the_metrics(jobs: Jobs, job: str, engine: sa.Engine) -> None:
    overview = Overview(engine)
    assert overview.jobs_by_state() == {"created": 1}
    assert overview.series_by_reason() == {"ANALYSED": 0}
    analysed(jobs, job)
    assert overview.jobs_by_state() == {"analysed": 1}
    assert overview.series_by_reason() == {"ANALYSED": 1, "TOO_FEW": 1}
