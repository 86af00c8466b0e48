"""What comes after a purge begins anew, and what was purged cannot be done again by name."""

import pytest
import sqlalchemy as sa
from ward import NOW, REFUSED, Ward

from service.domain.job import Confirm, Event, IllegalTransition, State
from service.store.planning import Plan


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
