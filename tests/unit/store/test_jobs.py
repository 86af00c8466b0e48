"""Results, deliveries, and how operators see them."""

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers.arrivals import arrival, at, create_due_jobs, keep
from helpers.headlines import scored

from service.domain.delivery import Confirm, ObjectDelivery
from service.domain.delivery_state import Delivered
from service.domain.flags import LOSSY, THICK_SLICES
from service.domain.job import Result, StoredObject
from service.domain.job_state import IllegalTransition, State
from service.domain.routing import StudyFacts
from service.errors import Reason, Refusal
from service.store.deliveries import Deliveries
from service.store.jobs import Jobs
from service.store.overview import Overview
from service.store.planning import Plan
from service.store.records import Records
from service.store.spool import Spool

SEG = StoredObject("lobes.seg", "1.2.840.10008.5.1.4.1.1.66.4", "1.1", "results/j/lobes.seg.dcm", "a" * 64)
SR = StoredObject("measurements.sr", "1.2.840.10008.5.1.4.1.1.88.34", "1.2", "results/j/m.sr.dcm", "b" * 64)
ANALYSED = Result(
    series_uid="S.1",
    refusals={"S.2": [Refusal(Reason.TOO_FEW, "12 slices.")]},
    flags=[THICK_SLICES.because("4 mm."), LOSSY],
    headline=scored(9),
    timings_s={"read": 1.5},
    objects=[SEG, SR],
)


@pytest.fixture
def job(engine: sa.Engine, tmp_path: Path) -> str:
    """A created job whose CT was acquired 10 minutes before it came."""
    records = Records(engine)
    keep(Spool(tmp_path), records, arrival("1", acquired_at=at(-600)))
    [job_id] = create_due_jobs(records, at(60), lambda _: 60.0)
    return job_id


def analysed(jobs: Jobs, job: str) -> None:
    jobs.start(job, at(70))
    jobs.finish(job, ANALYSED, at(90))


def test_the_outbox_empties_when_the_engine_has_the_job(jobs: Jobs, job: str) -> None:
    assert [job_id for job_id, _ in jobs.to_enqueue()] == [job]
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
        jobs.finish(job, ANALYSED, at(90))
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


def test_an_operator_sees_the_job_with_reasons_and_latency(
    jobs: Jobs, deliveries: Deliveries, job: str, engine: sa.Engine
) -> None:
    analysed(jobs, job)
    deliveries.begin(job, {"pacs": Plan([SR.sop_instance_uid], Confirm.NONE)}, at(90))
    deliveries.record(job, "pacs", [ObjectDelivery(SR.sop_instance_uid, Delivered.STORED, 0)], at(120), None)
    shown = Overview(engine).job(job)
    assert shown is not None
    assert shown["latency_s"] == 720.0
    assert (shown["headline"], shown["flags"], shown["timings_s"]) == (
        scored(9),
        ["THICK_SLICES", "LOSSY"],
        {"read": 1.5},
    )
    assert shown["warnings"] == [f"{THICK_SLICES.sentence} 4 mm.", LOSSY.sentence]
    assert shown["reasons"] == [
        {
            "series_uid": "S.2",
            "reason": "TOO_FEW",
            "detail": "12 slices.",
            "sentence": "The series has too few slices.",
        }
    ]
    assert shown["superseded_by"] is None
    assert [(step["at"], step["step"]) for step in shown["journal"]] == [
        (at(0), "receive"),
        (at(60), "study complete"),
        (shown["journal"][2]["at"], "start"),
        (shown["journal"][3]["at"], "analyse"),
        (at(90), "built"),
        (at(120), "stored"),
        (shown["journal"][6]["at"], "complete"),
    ]


def test_what_routing_rules_look_at_is_kept(jobs: Jobs, job: str) -> None:
    facts = StudyFacts("CT1", "THORACLE", "ROOM 2", ("Thorax", ""), "CHEST", at(60))
    jobs.start(job, at(70))
    assert jobs.finish(job, replace(ANALYSED, facts=facts), at(90)).facts == facts


@pytest.mark.parametrize("state", [State.CREATED, State.RUNNING, State.ANALYSED])
def test_a_cancelled_job_goes_nowhere(jobs: Jobs, deliveries: Deliveries, job: str, state: State) -> None:
    if state is not State.CREATED:
        jobs.start(job, at(70))
    if state is State.ANALYSED:
        jobs.finish(job, ANALYSED, at(90))
    assert deliveries.cancel(job, "Kim", at(95)).state is State.CANCELLED
    with pytest.raises(IllegalTransition, match="cancelled cannot start"):
        jobs.start(job, at(100))
    assert jobs.to_analyse() == []


def test_jobs_are_listed_newest_first_and_filtered(engine: sa.Engine, tmp_path: Path, job: str, jobs: Jobs) -> None:
    records, overview = Records(engine), Overview(engine)
    keep(Spool(tmp_path), records, arrival("2", seconds=100))
    [newer] = create_due_jobs(records, at(160), lambda _: 60.0)
    keep(Spool(tmp_path), records, arrival("1", seconds=200, study_uid="T"))
    [other] = create_due_jobs(records, at(260), lambda _: 60.0)

    def ids(**filters: object) -> list[str]:
        return [row["job_id"] for row in overview.list_jobs(**filters)]  # type: ignore[arg-type]

    assert ids() == [other, newer, job]
    assert ids(study_uid="S") == [newer, job]
    assert ids(state="superseded") == [job]
    assert ids(since=at(160)) == [other, newer]
    assert ids(limit=1, offset=1) == [newer]
    assert ids(by_priority=True) == [job, newer, other]
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


def test_the_studies_of_one_sender_take_turns_with_those_of_others(engine: sa.Engine, tmp_path: Path) -> None:
    records, spool = Records(engine), Spool(tmp_path)
    for number in range(5):
        keep(spool, records, arrival(f"1.{number}", ae="FLOOD", study_uid=f"F{number}", series_uid=f"F{number}.1"))
    create_due_jobs(records, at(60), lambda _: 60.0)
    keep(spool, records, arrival("2", seconds=15, ae="CT2"))
    create_due_jobs(records, at(75), lambda _: 60.0)
    order = [job["study_uid"] for job in Overview(engine).list_jobs(limit=10, by_priority=True)]
    assert order.index("S") == 1
