"""A radiologist's latest word on a result counts."""

from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa
from helpers.arrivals import arrival, at, create_due_jobs
from helpers.headlines import scored

from service.domain.job import NoSuchJob, Result
from service.domain.job_state import IllegalTransition
from service.domain.review import NoReview, Review, Verdict
from service.store.jobs import Jobs
from service.store.overview import Overview
from service.store.records import Records
from service.store.reviews import Reviews

SCORED = scored(7)


@pytest.fixture
def reviews(engine: sa.Engine) -> Reviews:
    return Reviews(engine)


def analysed(
    records: Records,
    jobs: Jobs,
    study_uid: str,
    series_uid: str | None = "1.2",
    headline: Mapping[str, Any] | None = SCORED,
) -> str:
    """A job that has ended."""
    records.record(arrival(study_uid=study_uid), f"spool/{study_uid}", "a" * 64, lambda *_: True)
    (job_id,) = create_due_jobs(records, at(600), lambda _: 1.0)
    jobs.start(job_id, at(600))
    jobs.finish(job_id, Result(series_uid=series_uid, headline=headline), at(601))
    return job_id


def test_the_latest_word_of_the_latest_days_counts(
    engine: sa.Engine, records: Records, jobs: Jobs, reviews: Reviews
) -> None:
    first, second = (analysed(records, jobs, uid) for uid in ("1.1", "1.2"))
    reviews.add(first, Review(Verdict.OVERRIDDEN, "ada", at(700), 4, "fissure missed"))
    reviews.add(second, Review(Verdict.ACCEPTED, "bob", at(701)))
    assert reviews.verdicts(at(0)) == {"overridden": 1, "accepted": 1}
    reviews.add(first, Review(Verdict.ACCEPTED, "bob", at(702)))
    assert reviews.verdicts(at(0)) == {"accepted": 2}
    assert reviews.verdicts(at(702)) == {"accepted": 1}
    shown = Overview(engine).job(first) or {}
    said = [(word["verdict"], word["by_whom"], word["score"], word["comment"]) for word in shown["reviews"]]
    assert said == [("overridden", "ada", 4, "fissure missed"), ("accepted", "bob", None, "")]
    journal = [step["detail"] for step in shown["journal"] if step["step"] == "review"]
    assert journal == ["overridden by ada, score 4", "accepted by bob"], "without the comment"


def test_only_results_are_reviewed(records: Records, jobs: Jobs, reviews: Reviews) -> None:
    word = Review(Verdict.ACCEPTED, "ada", at(700))
    with pytest.raises(IllegalTransition, match="is refused and has no result"):
        reviews.add(analysed(records, jobs, "1.1", None), word)
    with pytest.raises(NoSuchJob):
        reviews.add("nonsense", word)
    assert reviews.verdicts(at(0)) == {}


@pytest.mark.parametrize("score", [-1, 26])
def test_a_score_outside_the_scale_of_the_result_is_refused(
    records: Records, jobs: Jobs, reviews: Reviews, score: int
) -> None:
    job_id = analysed(records, jobs, "1.1")
    with pytest.raises(NoReview, match=f"the score {score} is outside 0-25"):
        reviews.add(job_id, Review(Verdict.OVERRIDDEN, "ada", at(700), score))
    assert reviews.verdicts(at(0)) == {}
    for within in (0, 25):
        reviews.add(job_id, Review(Verdict.OVERRIDDEN, "ada", at(700), within))
    assert reviews.verdicts(at(0)) == {"overridden": 1}


def test_the_scale_is_that_of_the_result(records: Records, jobs: Jobs, reviews: Reviews) -> None:
    """Another pipeline's headline may go further, or have no end; then a verdict is given without a score."""
    longer = analysed(records, jobs, "1.1", headline=SCORED | {"max": 40})
    reviews.add(longer, Review(Verdict.OVERRIDDEN, "ada", at(700), 40))
    open_ended = analysed(records, jobs, "1.2", headline=SCORED | {"max": None})
    with pytest.raises(NoReview, match="no scale"):
        reviews.add(open_ended, Review(Verdict.OVERRIDDEN, "ada", at(700), 4))
    reviews.add(open_ended, Review(Verdict.OVERRIDDEN, "ada", at(700)))
    assert reviews.verdicts(at(0)) == {"overridden": 2}


def test_a_score_of_a_result_that_stands_is_refused() -> None:
    with pytest.raises(NoReview):
        Review(Verdict.ACCEPTED, "ada", at(0), 4)


def test_a_job_keeps_so_many_reviews_and_no_more(
    records: Records, jobs: Jobs, reviews: Reviews, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.reviews.MOST_REVIEWS", 2)
    job_id = analysed(records, jobs, "1.1")
    for _ in range(2):
        reviews.add(job_id, Review(Verdict.ACCEPTED, "ada", at(700)))
    with pytest.raises(IllegalTransition, match="has 2 reviews"):
        reviews.add(job_id, Review(Verdict.ACCEPTED, "ada", at(700)))
