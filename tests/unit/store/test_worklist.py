"""Which studies are to be read, and in which order."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from helpers.arrivals import arrival, at
from helpers.headlines import scored

from service.domain.delivery import Confirm, ObjectDelivery
from service.domain.delivery_state import Delivered
from service.domain.flags import LOSSY
from service.domain.job import Result, StoredObject
from service.domain.priority import Urgency
from service.domain.review import Review, Verdict
from service.errors import Reason, Refusal
from service.store import tables
from service.store.deliveries import Deliveries
from service.store.jobs import Jobs
from service.store.planning import Plan
from service.store.records import Records
from service.store.reviews import Reviews
from service.store.worklist import Worklist

PIPELINES = ("one", "other")
REFUSED = Result(refusals={"S.1": [Refusal(Reason.TILT, "12 degrees.")]})

Come = Callable[..., list[str]]


@pytest.fixture
def come(engine: sa.Engine) -> Come:
    """A study comes, or one more image of it: the jobs of its pipelines."""
    records, count = Records(engine), iter(range(1000))

    def made(
        study_uid: str, seconds: float, pipelines: tuple[str, ...] = PIPELINES[:1], urgency: Urgency = Urgency.ROUTINE
    ) -> list[str]:
        image = arrival(f"{next(count)}", study_uid=study_uid)
        records.record(image, f"spool/{image.identity.sop_instance_uid}", "a" * 64, lambda *_: True)
        (study,) = [one for one in records.open_studies() if one.study_uid == study_uid]
        return records.create_jobs(study, pipelines, urgency, at(seconds))

    return made


def uid(job_id: str) -> str:
    """Returns the UID of the object that a job made."""
    return f"1.{int(job_id, 16)}"


def result(job_id: str, rank: float | None) -> Result:
    stored = StoredObject("study", "1.2", uid(job_id), f"results/{job_id}", "b" * 64)
    return Result(series_uid="S.1", flags=[LOSSY], headline=scored(9), rank=rank, objects=[stored])


def analyse(jobs: Jobs, job_id: str, rank: float | None = None, ended: float = 510) -> None:
    jobs.start(job_id, at(500))
    jobs.finish(job_id, result(job_id, rank), at(ended), {"pacs": Plan([uid(job_id)], Confirm.NONE)})


def review(engine: sa.Engine, job_id: str, seconds: float = 600) -> None:
    Reviews(engine).add(job_id, Review(Verdict.ACCEPTED, "Kim", at(seconds)))


def deliver(deliveries: Deliveries, *job_ids: str) -> None:
    for job_id in job_ids:
        deliveries.record(job_id, "pacs", [ObjectDelivery(uid(job_id), Delivered.STORED, 0)], at(515), None)


def order(engine: sa.Engine) -> list[str]:
    return [one["study_uid"] for one in Worklist(engine).entries()]


def test_the_highest_rank_is_first_equal_ones_by_age_and_no_rank_above_those_below_a_half(
    engine: sa.Engine, jobs: Jobs, come: Come
) -> None:
    for study, seconds, rank in (
        ("unranked, new", 130, None), ("low", 100, 0.2), ("young", 120, 0.7), ("old", 110, 0.7),
        ("none found", 90, 0.0), ("unranked, old", 80, None), ("high", 140, 0.9),
    ):  # fmt: skip
        analyse(jobs, come(study, seconds)[0], rank)
    expected = ["high", "old", "young", "unranked, old", "unranked, new", "low", "none found"]
    assert order(engine) == expected
    some = Worklist(engine).entries(limit=2, offset=1)
    assert [one["study_uid"] for one in some] == expected[1:3]
    assert [one["rank"] for one in some] == [0.7, 0.7]
    shown = some[0]
    assert (shown["state"], shown["flags"], shown["reviewed_before"]) == ("delivering", ["LOSSY"], False)
    assert shown["headline"] == scored(9) and shown["created_at"] == at(110)


def test_what_is_urgent_goes_before_any_rank_and_one_urgent_result_makes_the_study_urgent(
    engine: sa.Engine, jobs: Jobs, come: Come
) -> None:
    for study, urgency, rank in (
        ("routine", Urgency.ROUTINE, 0.9), ("urgent", Urgency.URGENT, 0.1), ("urgent, higher", Urgency.URGENT, 0.2),
        ("stat", Urgency.STAT, 0.0), ("stat, unranked", Urgency.STAT, None),
    ):  # fmt: skip
        analyse(jobs, come(study, 100, PIPELINES[:1], urgency)[0], rank)
    one, other = come("both", 90, PIPELINES)
    analyse(jobs, one, 0.15)
    analyse(jobs, other, None)
    with engine.begin() as connection:
        connection.execute(sa.update(tables.jobs).where(tables.jobs.c.job_id == other).values(urgency=Urgency.URGENT))
    assert order(engine) == ["stat, unranked", "stat", "urgent, higher", "both", "urgent", "routine"]
    both = Worklist(engine).entries()[3]
    assert (both["job_id"], both["urgency"]) == (one, "urgent")


def test_a_study_stands_once_with_its_highest_rank_and_a_review_of_any_of_its_results_takes_it_off(
    engine: sa.Engine, jobs: Jobs, come: Come
) -> None:
    ranked, unranked = come("S", 100, PIPELINES)
    analyse(jobs, unranked)
    assert [one["job_id"] for one in Worklist(engine).entries()] == [unranked], "the other one is still at work"
    analyse(jobs, ranked, 0.1)
    assert [one["job_id"] for one in Worklist(engine).entries()] == [ranked]
    review(engine, unranked)
    assert order(engine) == []


def test_a_newer_result_brings_a_reviewed_study_back_and_says_that_an_earlier_one_was_reviewed(
    engine: sa.Engine, jobs: Jobs, come: Come
) -> None:
    (first,) = come("S", 100)
    analyse(jobs, first, 0.9)
    review(engine, first)
    assert order(engine) == []
    (second,) = come("S", 200)
    analyse(jobs, second, 0.3, 700)
    (line,) = Worklist(engine).entries()
    assert (line["job_id"], line["rank"], line["reviewed_before"]) == (second, 0.3, True)
    review(engine, first, 800)
    assert order(engine) == ["S"], "a word on a result that was replaced"
    review(engine, second, 800)
    assert order(engine) == []


def test_of_two_pipelines_a_newer_result_of_either_brings_the_study_back(
    engine: sa.Engine, jobs: Jobs, deliveries: Deliveries, come: Come
) -> None:
    before = come("S", 100, PIPELINES)
    for job_id in before:
        analyse(jobs, job_id, 0.2)
    deliver(deliveries, *before)
    review(engine, before[0])
    assert order(engine) == []
    one, other = come("S", 550, PIPELINES)
    assert order(engine) == ["S"], "it is analysed anew"
    analyse(jobs, other, 0.9, 700)
    (line,) = Worklist(engine).entries()
    assert (line["job_id"], line["reviewed_before"]) == (other, True), "the review is of a current result, but older"
    review(engine, other, 710)
    assert order(engine) == ["S"], "the other pipeline is still at work"
    analyse(jobs, one, 0.1, 720)
    assert order(engine) == ["S"], "and has told something since"
    review(engine, one, 730)
    assert order(engine) == []


def test_a_reviewed_study_leaves_the_list_again_where_the_new_analysis_has_no_result(
    engine: sa.Engine, jobs: Jobs, deliveries: Deliveries, come: Come
) -> None:
    (first,) = come("S", 100)
    analyse(jobs, first, 0.9)
    deliver(deliveries, first)
    review(engine, first)
    (second,) = come("S", 200)
    jobs.start(second, at(700))
    assert order(engine) == ["S"]
    jobs.finish(second, REFUSED, at(710))
    assert order(engine) == []


def test_a_delivered_result_stays_while_the_newer_one_is_at_work_and_if_it_is_refused(
    engine: sa.Engine, jobs: Jobs, deliveries: Deliveries, come: Come
) -> None:
    (first,) = come("S", 100)
    analyse(jobs, first, 0.9)
    deliver(deliveries, first)
    (second,) = come("S", 200)
    jobs.start(second, at(520))
    assert [one["job_id"] for one in Worklist(engine).entries()] == [first]
    jobs.finish(second, REFUSED, at(530))
    assert [one["job_id"] for one in Worklist(engine).entries()] == [first]


def test_what_was_refused_failed_cancelled_or_purged_is_not_on_it(
    engine: sa.Engine, jobs: Jobs, deliveries: Deliveries, come: Come
) -> None:
    refused, failed, cancelled = (come(study, 100)[0] for study in ("refused", "failed", "cancelled"))
    for job_id, ended in (
        (refused, REFUSED),
        (failed, Result(error="no memory")),
    ):
        jobs.start(job_id, at(500))
        jobs.finish(job_id, ended, at(510))
    analyse(jobs, cancelled, 0.9)
    assert order(engine) == ["cancelled"]
    deliveries.cancel(cancelled, "Kim", at(520))
    assert order(engine) == []
    analyse(jobs, come("purged", 100)[0], 0.9)
    assert order(engine) == ["purged"]
    with engine.begin() as connection:
        connection.execute(sa.update(tables.jobs).values(purged_at=at(600)))
    assert order(engine) == []


def test_results_that_wait_are_delivered_by_rank(jobs: Jobs, deliveries: Deliveries, come: Come) -> None:
    low, high, unranked = (come(study, 100)[0] for study in ("low", "high", "unranked"))
    (long_ago,) = come("long ago", 100 - 3700)
    for job_id, rank in ((low, 0.1), (high, 0.8), (unranked, None), (long_ago, 0.0)):
        analyse(jobs, job_id, rank)
    waiting = sorted(deliveries.to_deliver(), key=lambda due: due.priority)
    assert [due.job_id for due in waiting] == [long_ago, high, low, unranked]
