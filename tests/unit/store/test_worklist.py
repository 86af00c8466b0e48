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

    def made(study_uid: str, seconds: float, pipelines: tuple[str, ...] = PIPELINES[:1]) -> list[str]:
        image = arrival(f"{next(count)}", study_uid=study_uid)
        records.record(image, f"spool/{image.identity.sop_instance_uid}", "a" * 64, lambda _: True)
        (study,) = [one for one in records.open_studies() if one.study_uid == study_uid]
        return records.create_jobs(study, pipelines, Urgency.ROUTINE, at(seconds))

    return made


def uid(job_id: str) -> str:
    """Of the object that a job made."""
    return f"1.{int(job_id, 16)}"


def result(job_id: str, rank: float | None) -> Result:
    stored = StoredObject("study", "1.2", uid(job_id), f"results/{job_id}", "b" * 64)
    return Result(series_uid="S.1", flags=[LOSSY], headline=scored(9), rank=rank, objects=[stored])


def analyse(jobs: Jobs, job_id: str, rank: float | None = None) -> None:
    jobs.start(job_id, at(500))
    jobs.finish(job_id, result(job_id, rank), at(510), {"pacs": Plan([uid(job_id)], Confirm.NONE)})


def review(engine: sa.Engine, job_id: str) -> None:
    Reviews(engine).add(job_id, Review(Verdict.ACCEPTED, "Kim", at(600)))


def order(engine: sa.Engine) -> list[str]:
    return [one["study_uid"] for one in Worklist(engine).entries()]


def test_the_highest_rank_is_first_and_equal_ranks_by_age_and_no_rank_is_last(
    engine: sa.Engine, jobs: Jobs, come: Come
) -> None:
    for study, seconds, rank in (
        ("unranked, new", 130, None), ("low", 100, 0.2), ("young", 120, 0.7), ("old", 110, 0.7),
        ("none found", 90, 0.0), ("unranked, old", 80, None), ("high", 140, 0.9),
    ):  # fmt: skip
        analyse(jobs, come(study, seconds)[0], rank)
    expected = ["high", "old", "young", "low", "none found", "unranked, old", "unranked, new"]
    assert order(engine) == expected
    some = Worklist(engine).entries(limit=2, offset=1)
    assert [one["study_uid"] for one in some] == expected[1:3]
    assert [one["rank"] for one in some] == [0.7, 0.7]
    shown = some[0]
    assert (shown["state"], shown["flags"], shown["reviewed_before"]) == ("delivering", ["LOSSY"], False)
    assert shown["headline"] == scored(9) and shown["created_at"] == at(110)


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
    (second,) = come("S", 200)
    assert order(engine) == [], "the reviewed result stays until there is another"
    analyse(jobs, second, 0.3)
    (line,) = Worklist(engine).entries()
    assert (line["job_id"], line["rank"], line["reviewed_before"]) == (second, 0.3, True)


def test_a_delivered_result_stays_while_the_newer_one_is_at_work_and_if_it_is_refused(
    engine: sa.Engine, jobs: Jobs, deliveries: Deliveries, come: Come
) -> None:
    (first,) = come("S", 100)
    analyse(jobs, first, 0.9)
    deliveries.record(first, "pacs", [ObjectDelivery(uid(first), Delivered.STORED, 0)], at(515), None)
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
