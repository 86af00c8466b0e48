"""When a study may be purged: everything is where it should be, and its time has passed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from helpers.ward import KEEP, LATER, NOW, REFUSED, Ward
from pydicom.uid import SegmentationStorage

from service.domain.delivery import Confirm
from service.domain.delivery_state import Delivered
from service.domain.job import Result
from service.domain.job_state import State
from service.store.intake import Recorded
from service.store.planning import Plan


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


def test_what_was_never_confirmed_is_kept(ward: Ward) -> None:
    ward.receive("1")
    assert ward.due() == [], "its job is still to be made"
    job_id = ward.job()
    assert ward.due() == [], "it is not analysed"
    ward.finish(job_id, ward.results(job_id), "pacs")
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
    ward.finish(job_id, ward.results(job_id))
    assert (ward.jobs.get(job_id).state, ward.due()) == (State.ANALYSED, ["S"])
    ward.purge()
    assert (ward.files(), ward.results_are_gone(job_id)) == (set(), True)


def test_a_failed_study_waits_for_an_operator(ward: Ward) -> None:
    ward.receive("1")
    job_id = ward.job()
    ward.finish(job_id, Result(error="no"))
    assert ward.due() == []
    ward.deliveries.cancel(job_id, "me", NOW)
    assert ward.due() == ["S"]


def test_a_failure_that_a_newer_job_made_good_holds_nothing(ward: Ward) -> None:
    ward.receive("1")
    ward.finish(ward.job(), Result(error="no"))
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
    ward.finish(job_id, Result(refusals=REFUSED.refusals, objects=objects), "pacs")
    assert ward.due() == []
    ward.store(job_id, Delivered.REJECTED)
    assert ward.due() == [], "nobody was told why"
    decision(ward, job_id)
    assert ward.due() == ["S"]


def test_a_refused_study_without_a_notice_goes(ward: Ward) -> None:
    ward.receive("1")
    ward.finish(ward.job(), REFUSED)
    assert ward.due() == ["S"]


def test_a_study_that_never_makes_a_job_goes_too(ward: Ward) -> None:
    ward.receive("1", sop_class_uid=str(SegmentationStorage), modality="SEG")
    assert ward.due(NOW + timedelta(days=1)) == []
    ward.purge()
    assert (ward.files(), ward.due()) == (set(), [])
