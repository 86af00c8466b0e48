"""A radiologist's latest word on a result counts."""

import pytest
import sqlalchemy as sa
from arrivals import arrival, at, create_due_jobs

from service.domain.job import NoSuchJob, Result
from service.domain.job_state import Event, IllegalTransition
from service.domain.review import NoReview, Review, Verdict
from service.store.jobs import Jobs
from service.store.overview import Overview
from service.store.records import Records
from service.store.reviews import Reviews


@pytest.fixture
def reviews(engine: sa.Engine) -> Reviews:
    return Reviews(engine)


def analysed(records: Records, jobs: Jobs, study_uid: str, series_uid: str | None = "1.2") -> str:
    """A job that has ended."""
    records.record(arrival(study_uid=study_uid), f"spool/{study_uid}", "a" * 64, lambda _: True)
    (job_id,) = create_due_jobs(records, at(600), lambda _: 1.0)
    jobs.start(job_id, at(600))
    event = Event.REFUSE if series_uid is None else Event.ANALYSE
    jobs.finish(job_id, event, Result(series_uid=series_uid, severity_total=7), at(601))
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


@pytest.mark.parametrize(("verdict", "score"), [("accepted", 4), ("overridden", -1), ("overridden", 26)])
def test_a_score_that_is_none_is_refused(verdict: str, score: int) -> None:
    with pytest.raises(NoReview):
        Review(Verdict(verdict), "ada", at(0), score)
