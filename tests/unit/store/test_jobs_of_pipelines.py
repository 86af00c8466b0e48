"""Several pipelines on one study: each has its own jobs, numbers and results, until all of them are done."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers.arrivals import create_due_jobs
from helpers.ward import LATER, NOW, REFUSED, Ward

from service.domain import completion
from service.domain.delivery_state import UNDER_WAY, Delivered
from service.domain.job import Job, Result
from service.domain.job_state import IllegalTransition, State
from service.errors import Reason, Refusal
from service.store import job_creation
from service.store.overview import Overview
from service.store.spool import Spool

A, B = "covid-severity", "emphysema-index"


@pytest.fixture
def ward(engine: sa.Engine, tmp_path: Path) -> Iterator[Ward]:
    return Ward(engine, Spool(tmp_path / "data"))


def due(ward: Ward, *pipelines: str) -> dict[str, str]:
    """Ids of the new jobs of the study, which these pipelines take, by pipeline."""
    created = create_due_jobs(ward.records, NOW + timedelta(seconds=1), lambda _: 0.0, pipelines=pipelines)
    return {ward.jobs.get(job_id).pipeline: job_id for job_id in created}


def deliver(ward: Ward, job_id: str) -> Job:
    """Analyse, send and have committed."""
    ward.finish(job_id, ward.results(job_id), "pacs")
    ward.store(job_id, Delivered.STORED)
    ward.deliveries.confirm(job_id, "pacs", frozenset([f"{job_id}.1"]), {}, NOW)
    job = ward.jobs.get(job_id)
    assert job.state is State.DELIVERED
    return job


def states(ward: Ward, jobs: dict[str, str]) -> dict[str, State]:
    return {pipeline: ward.jobs.get(job_id).state for pipeline, job_id in jobs.items()}


def test_each_pipeline_has_a_job_of_the_same_revision(ward: Ward) -> None:
    ward.receive("1")
    jobs = due(ward, A, B)
    assert jobs.keys() == {A, B} and jobs[A] != jobs[B]
    found = [ward.jobs.get(job_id) for job_id in jobs.values()]
    assert [(job.revision, job.number, job.supersedes, job.state) for job in found] == [(1, 1, None, State.CREATED)] * 2
    assert found[0].priority == found[1].priority
    assert due(ward, A, B) == {}, "the study has its jobs"


def test_job_ids_depend_on_the_pipeline_and_are_the_same_on_every_host(ward: Ward) -> None:
    digests = ["b", "a"]
    assert completion.job_id("S", 1, digests, A) == completion.job_id("S", 1, ["a", "b"], A)
    assert len({completion.job_id("S", 1, digests, name) for name in (A, B, "")}) == 3


def test_a_late_slice_supersedes_within_each_pipeline(ward: Ward) -> None:
    ward.receive("1")
    first = due(ward, A, B)
    deliver(ward, first[A])
    ward.jobs.start(first[B], NOW)
    ward.receive("2")
    second = due(ward, A, B)
    found = {pipeline: ward.jobs.get(job_id) for pipeline, job_id in second.items()}
    assert {pipeline: (job.number, job.supersedes) for pipeline, job in found.items()} == {
        A: (2, first[A]),
        B: (2, first[B]),
    }
    assert states(ward, first) == {A: State.DELIVERED, B: State.SUPERSEDED}


def test_a_result_replaces_that_of_its_own_pipeline(ward: Ward) -> None:
    ward.receive("1")
    first = due(ward, A, B)
    for job_id in first.values():
        deliver(ward, job_id)
    ward.receive("2")
    for pipeline, job_id in due(ward, A, B).items():
        replaced = ward.deliveries.replaced_by(job_id)
        assert replaced is not None
        job, objects = replaced
        assert (job.job_id, [o.sop_instance_uid for o in objects]) == (first[pipeline], [f"{first[pipeline]}.1"])


def test_a_pipeline_that_comes_later_begins_with_number_1(ward: Ward) -> None:
    ward.receive("1")
    due(ward, A)
    ward.receive("2")
    jobs = due(ward, A, B)
    assert {pipeline: ward.jobs.get(job_id).number for pipeline, job_id in jobs.items()} == {A: 2, B: 1}
    assert ward.deliveries.replaced_by(jobs[B]) is None


@pytest.mark.parametrize(
    ("so_far", "after"),
    [
        (State.CREATED, State.CANCELLED),
        (State.RUNNING, State.CANCELLED),
        (State.FAILED, State.CANCELLED),
        (State.DELIVERING, State.CANCELLED),
        (State.DELIVERED, State.DELIVERED),
        (State.REFUSED, State.REFUSED),
    ],
)
def test_a_pipeline_that_takes_the_changed_study_no_more_does_nothing_more(
    ward: Ward, so_far: State, after: State
) -> None:
    ward.receive("1")
    first = due(ward, A, B)
    bring(ward, first[B], so_far)
    ward.receive("2")
    assert due(ward, A).keys() == {A}
    assert ward.jobs.get(first[B]).state is after
    waiting = {state for _, state in ward.deliveries.states(first[B], "pacs")} & {*UNDER_WAY}
    assert not waiting, "nobody is told that something is still to be sent"
    assert first[B] not in {one.job_id for one in ward.deliveries.to_deliver()}
    assert first[B] not in {job_id for job_id, _ in (*ward.jobs.to_enqueue(), *ward.jobs.to_analyse())}


def bring(ward: Ward, job_id: str, state: State) -> None:
    """Bring a new job into a state."""
    if state is State.RUNNING:
        ward.jobs.start(job_id, NOW)
    elif state is State.FAILED:
        ward.finish(job_id, Result(error="broken"))
    elif state is State.REFUSED:
        ward.finish(job_id, REFUSED)
    elif state is State.DELIVERING:
        ward.finish(job_id, ward.results(job_id), "pacs")
    elif state is State.DELIVERED:
        deliver(ward, job_id)
    assert ward.jobs.get(job_id).state is state


def test_a_study_that_no_pipeline_takes_gets_one_job_without_a_pipeline(ward: Ward) -> None:
    ward.receive("1")
    first = due(ward, A, B)
    ward.receive("2")
    none = due(ward)
    assert none.keys() == {""}
    assert states(ward, first) == {A: State.CANCELLED, B: State.CANCELLED}
    ward.receive("3")
    again = due(ward, A)
    assert ward.jobs.get(again[A]).supersedes == first[A], "its chain goes on"


def test_a_study_is_purged_when_the_jobs_of_all_pipelines_are_done(ward: Ward) -> None:
    ward.receive("1")
    jobs = due(ward, A, B)
    deliver(ward, jobs[A])
    assert ward.due() == []
    ward.finish(jobs[B], REFUSED)
    assert ward.due() == ["S"]
    ward.purge()
    assert ward.files() == set() and ward.results_are_gone(jobs[A])


def test_a_failed_job_keeps_the_study_until_its_pipeline_takes_it_no_more(ward: Ward) -> None:
    ward.receive("1")
    jobs = due(ward, A, B)
    deliver(ward, jobs[A])
    ward.finish(jobs[B], Result(error="broken"))
    assert ward.due() == [], "an operator may retry it"
    ward.receive("2")
    deliver(ward, due(ward, A)[A])
    assert ward.due() == ["S"]


def test_one_pipeline_is_analysed_again_and_the_study_is_purged(ward: Ward) -> None:
    ward.receive("1")
    jobs = due(ward, A, B)
    for job_id in jobs.values():
        deliver(ward, job_id)
    again = ward.jobs.get(ward.records.create_job_again("S", B, "Kim", NOW))
    assert (again.pipeline, again.number, again.supersedes) == (B, 2, jobs[B])
    assert ward.jobs.get(jobs[A]).state is State.DELIVERED
    assert ward.due() == [], "it is not done"
    deliver(ward, again.job_id)
    ward.receive("2")
    later = due(ward, A, B)
    assert {pipeline: ward.jobs.get(job_id).number for pipeline, job_id in later.items()} == {A: 2, B: 3}
    for job_id in later.values():
        deliver(ward, job_id)
    assert ward.due() == ["S"]
    ward.purge()


def test_the_same_images_after_a_purge_are_recognised_for_each_pipeline(ward: Ward) -> None:
    ward.receive("1")
    first = due(ward, A, B)
    for job_id in first.values():
        deliver(ward, job_id)
    ward.purge()
    ward.receive("1")
    for pipeline, job_id in due(ward, A, B).items():
        assert ward.records.same_again(ward.jobs.get(job_id)) == first[pipeline]


def test_the_same_images_are_recognised_after_a_job_from_before_there_were_pipelines(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 0.2 named jobs without a pipeline; migration 0009 gives them the only one that there was."""
    ward.receive("1")
    with monkeypatch.context() as before:
        before.setattr(job_creation, "job_id", lambda *key: completion.job_id(*key[:3], ""))
        first = due(ward, A)[A]
    assert first == completion.job_id("S", 1, digests(ward), "")
    deliver(ward, first)
    ward.purge()
    ward.receive("1")
    jobs = due(ward, A, B)
    assert ward.records.same_again(ward.jobs.get(jobs[A])) == first
    assert ward.records.same_again(ward.jobs.get(jobs[B])) is None


def digests(ward: Ward) -> list[str]:
    with ward.engine.begin() as connection:
        return job_creation.ct_digests(connection, "S")


def test_what_came_after_a_purge_is_a_remainder_for_a_new_pipeline_too(ward: Ward) -> None:
    """Its refusal would tell of an incomplete study: the images before were purged."""
    ward.receive("1")
    deliver(ward, due(ward, A)[A])
    ward.purge()
    ward.receive("2")
    jobs = due(ward, A, B)
    assert [ward.records.is_remainder(job_id) for job_id in jobs.values()] == [True, True]


def test_a_refusal_is_told_once_a_pipeline_analysed_what_came_after_a_purge(ward: Ward) -> None:
    ward.receive("1")
    for job_id in due(ward, A, B).values():
        deliver(ward, job_id)
    ward.purge()
    ward.receive("1")
    ward.receive("2")
    jobs = due(ward, A, B)
    deliver(ward, jobs[A])
    ward.finish(jobs[B], REFUSED)
    ward.receive("3")
    assert not any(ward.records.is_remainder(job_id) for job_id in due(ward, A, B).values())


def test_cancelling_one_pipelines_job_does_not_touch_the_other(ward: Ward) -> None:
    ward.receive("1")
    jobs = due(ward, A, B)
    for job_id in jobs.values():
        ward.finish(job_id, ward.results(job_id), "pacs")
    ward.deliveries.cancel(jobs[B], "Kim", LATER)
    assert states(ward, jobs) == {A: State.DELIVERING, B: State.CANCELLED}
    assert [one.job_id for one in ward.deliveries.to_deliver()] == [jobs[A]]


NOTHING_FOR_US = Result(refusals={"": (Refusal(Reason.NO_PIPELINE, "No rule matches."),)})
NO_CT = Result(refusals={"S.1": (Refusal(Reason.NOT_CT, "It is SR."),)})


def refuse(ward: Ward, job_id: str, result: Result) -> None:
    """Refuse with a notice on its way to the PACS."""
    notice = ward.results(job_id).objects
    ward.finish(job_id, replace(result, objects=notice), "pacs")


@pytest.mark.parametrize(("reached", "after"), [(None, Delivered.WITHDRAWN), (Delivered.STORED, Delivered.STORED)])
def test_a_notice_of_a_pipeline_that_takes_the_changed_study_no_more_is_not_waited_for(
    ward: Ward, reached: Delivered | None, after: Delivered
) -> None:
    """One that is stored and not confirmed counts as delivered; none keeps the study from being purged."""
    ward.receive("1")
    refused = due(ward, A, B)[B]
    refuse(ward, refused, REFUSED)
    if reached:
        ward.store(refused, reached)
    ward.receive("2")
    deliver(ward, due(ward, A)[A])
    assert [state for _, state in ward.deliveries.states(refused, "pacs")] == [after]
    assert refused not in {one.job_id for one in ward.deliveries.to_deliver()}
    assert ward.due() == ["S"]


@pytest.mark.parametrize(("pipelines", "result"), [((), NOTHING_FOR_US), ((B,), NO_CT)])
def test_a_first_job_supersedes_one_that_had_nothing_to_analyse(
    ward: Ward, pipelines: tuple[str, ...], result: Result
) -> None:
    """Else its notice would stand beside the result: "no pipeline", "no CT"."""
    ward.receive("1")
    (before,) = due(ward, *pipelines).values()
    refuse(ward, before, result)
    ward.receive("2")
    jobs = due(ward, A, *pipelines)
    assert ward.jobs.get(jobs[A]).supersedes == before
    assert before not in {one.job_id for one in ward.deliveries.to_deliver()}


def test_a_first_job_does_not_supersede_another_pipelines_refusal(ward: Ward) -> None:
    ward.receive("1")
    refuse(ward, due(ward, B)[B], REFUSED)
    ward.receive("2")
    assert ward.jobs.get(due(ward, A, B)[A]).supersedes is None


def test_a_changed_study_is_not_analysed_again_by_hand(ward: Ward) -> None:
    """The change gives every pipeline a new job; one by hand would keep the others from theirs."""
    ward.receive("1")
    first = due(ward, A, B)
    ward.receive("2")
    with pytest.raises(IllegalTransition, match="it gets new jobs as soon as it is complete"):
        ward.records.create_job_again("S", A, "Kim", NOW)
    assert due(ward, A, B).keys() == first.keys()


def test_pipelines_of_a_study_that_none_took_are_chosen_again(ward: Ward) -> None:
    """The rules of now decide: the operator may have corrected them."""
    ward.receive("1")
    (none,) = due(ward).values()
    refuse(ward, none, NOTHING_FOR_US)
    ward.records.choose_again(ward.jobs.get(none), "Kim", NOW)
    jobs = due(ward, A, B)
    assert jobs.keys() == {A, B}
    assert [ward.jobs.get(job_id).supersedes for job_id in jobs.values()] == [none] * 2
    assert (Overview(ward.engine).job(none) or {})["superseded_by"] == jobs[A], "the first of them"


def test_pipelines_are_not_chosen_again_while_images_come(ward: Ward) -> None:
    ward.receive("1")
    (none,) = due(ward).values()
    ward.receive("2")
    with pytest.raises(IllegalTransition, match="came since"):
        ward.records.choose_again(ward.jobs.get(none), "Kim", NOW)
