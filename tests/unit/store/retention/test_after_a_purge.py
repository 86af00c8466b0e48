"""What comes after a purge begins anew, and what was purged cannot be done again by name."""

import pytest
import sqlalchemy as sa
from helpers.arrivals import PIPELINE, create_due_jobs
from helpers.ward import KEEP, LATER, NOW, REFUSED, Ward
from pydicom.uid import MRImageStorage

from service.domain.delivery import Confirm
from service.domain.job import Result
from service.domain.job_state import IllegalTransition, State
from service.errors import Reason, Refusal
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
    ward.finish(part, REFUSED)
    ward.receive("2")
    assert ward.records.same_again(ward.jobs.get(ward.job())) == first


def test_what_was_purged_cannot_be_done_again_by_name(ward: Ward) -> None:
    job_id = ward.delivered("1")
    ward.purge()
    plans = {"pacs": Plan([f"{job_id}.1"], Confirm.NONE)}
    for again in (
        lambda: ward.deliveries.resend(job_id, plans, "me", NOW),
        lambda: ward.deliveries.retry(job_id, plans, "me", NOW),
        lambda: ward.records.create_job_again("S", PIPELINE, "me", NOW),
    ):
        with pytest.raises(IllegalTransition, match=r"purged.*: send the study again"):
            again()
    assert ward.jobs.get(job_id).state is State.DELIVERED


MR = {"sop_class_uid": str(MRImageStorage), "modality": "MR", "series_uid": "S.2"}
NOT_CT = Result(refusals={"S.2": (Refusal(Reason.NOT_CT, "MR Image Storage."),)})


def purged_without_ct(ward: Ward) -> str:
    ward.receive("1", **MR)
    job_id = ward.job()
    ward.finish(job_id, NOT_CT)
    ward.purge()
    return job_id


def test_a_study_without_ct_that_comes_again_after_its_purge_gets_its_job_again(ward: Ward) -> None:
    first = purged_without_ct(ward)
    for instance in ("1", "2"):
        ward.receive(instance, **MR)
    second = ward.job()
    assert (ward.jobs.get(second).supersedes, ward.jobs.get(second).revision) == (first, 2)
    assert not ward.records.is_remainder(second)
    ward.receive("3", **MR)
    assert create_due_jobs(ward.records, LATER, lambda _: 0.0) == [], "it is told once"


def test_other_images_that_come_after_the_purge_of_a_ct_make_no_job(ward: Ward) -> None:
    ward.delivered("1")
    ward.purge()
    ward.receive("2", **MR)
    assert create_due_jobs(ward.records, LATER, lambda _: 0.0) == []


def test_a_ct_that_comes_after_the_purge_of_a_study_without_ct_is_whole(ward: Ward) -> None:
    """If it is refused, there is a notice: nothing of it was purged."""
    purged_without_ct(ward)
    ward.receive("3")
    whole = ward.job()
    assert not ward.records.is_remainder(whole)
    ward.finish(whole, REFUSED)
    ward.purge(LATER + 2 * KEEP)
    ward.receive("4")
    assert ward.records.is_remainder(ward.job())
