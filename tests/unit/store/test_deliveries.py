"""What is on its way: sent, stored, committed, refused, asked for again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers.arrivals import arrival, at, create_due_jobs, keep

from service.domain.commitment import Report
from service.domain.delivery import Confirm, ObjectDelivery
from service.domain.delivery_state import Delivered
from service.domain.job import NoSuchJob, Result, StoredObject
from service.domain.job_state import IllegalTransition, State
from service.store.deliveries import Deliveries
from service.store.jobs import Jobs
from service.store.overview import Overview
from service.store.planning import Plan
from service.store.records import Records
from service.store.spool import Spool

SEG = StoredObject("lobes", "1.2.840.10008.5.1.4.1.1.66.4", "1.1", "results/j/lobes.seg.dcm", "a" * 64, "binary")
SR = StoredObject("study", "1.2.840.10008.5.1.4.1.1.88.34", "1.2", "results/j/m.sr.dcm", "b" * 64)
BOTH = [SEG.sop_instance_uid, SR.sop_instance_uid]


@pytest.fixture
def job(records: Records, jobs: Jobs, tmp_path: Path) -> str:
    """An analysed job."""
    keep(Spool(tmp_path), records, arrival("1", acquired_at=at(-600)))
    [job_id] = create_due_jobs(records, at(60), lambda _: 60.0)
    jobs.start(job_id, at(70))
    jobs.finish(job_id, Result(series_uid="S.1", objects=[SEG, SR]), at(90))
    return job_id


def plans(*names: str, confirm: Confirm = Confirm.NONE) -> Mapping[str, Plan]:
    return {name: Plan(BOTH, confirm) for name in names}


def outcomes(state: Delivered, objects: Sequence[StoredObject] = (SEG, SR)) -> list[ObjectDelivery]:
    return [ObjectDelivery(o.sop_instance_uid, state, 0 if state is Delivered.STORED else None, "why") for o in objects]


def waiting(deliveries: Deliveries, job: str, name: str = "pacs") -> list[tuple[str, Delivered]]:
    return [(o.stored.sop_instance_uid, o.state) for o in deliveries.open(job, name)]


def test_a_job_is_delivered_when_every_destination_has_everything(deliveries: Deliveries, job: str) -> None:
    assert deliveries.begin(job, plans("pacs", "archive"), at(91)).state is State.DELIVERING
    assert deliveries.begin(job, plans("pacs", "archive"), at(92)).state is State.DELIVERING, "again, after a kill"
    assert deliveries.record(job, "pacs", outcomes(Delivered.STORED), at(100), None).state is State.DELIVERING
    assert deliveries.open(job, "pacs") == []
    assert [o.stored for o in deliveries.open(job, "archive")] == [SEG, SR]
    assert deliveries.destinations(job) == ["archive"]
    assert deliveries.record(job, "archive", outcomes(Delivered.STORED), at(120), None).state is State.DELIVERED


def test_only_what_is_missing_is_sent_again(deliveries: Deliveries, job: str, engine: sa.Engine) -> None:
    deliveries.begin(job, plans("pacs"), at(91))
    deliveries.mark_sent(job, "pacs", BOTH)
    assert waiting(deliveries, job) == [("1.1", Delivered.SENT), ("1.2", Delivered.SENT)], "in flight when killed"
    first = [*outcomes(Delivered.STORED, [SEG]), *outcomes(Delivered.BUILT, [SR])]
    assert deliveries.record(job, "pacs", first, at(100), at(115)).state is State.DELIVERING
    assert waiting(deliveries, job) == [("1.2", Delivered.BUILT)]
    shown = Overview(engine).job(job)
    assert shown is not None
    seg, sr = shown["deliveries"]
    assert (seg["state"], seg["stored_at"], seg["next_attempt_at"]) == ("stored", at(100), None)
    assert (sr["state"], sr["attempts"], sr["last_error"], sr["next_attempt_at"]) == ("built", 1, "why", at(115))
    assert deliveries.record(job, "pacs", outcomes(Delivered.STORED, [SR]), at(116), None).state is State.DELIVERED


def test_the_time_of_the_first_store_depends_on_no_time_zone(deliveries: Deliveries, job: str) -> None:
    """The sessions of the PostgreSQL server of these tests are not in UTC."""
    deliveries.begin(job, plans("pacs", confirm=Confirm.QUERY), at(91))
    for now in (at(100), at(200)):
        deliveries.record(job, "pacs", outcomes(Delivered.STORED), now, None)
    assert [(o.first_stored_at, o.since, o.stored_at) for o in deliveries.open(job, "pacs")] == [
        (at(100), at(100), at(200))
    ] * 2


def test_an_attempt_recorded_again_after_a_kill_changes_nothing(
    deliveries: Deliveries, job: str, engine: sa.Engine
) -> None:
    deliveries.begin(job, plans("pacs"), at(91))
    deliveries.record(job, "pacs", outcomes(Delivered.STORED), at(100), None)
    assert deliveries.record(job, "pacs", [], at(200), None).state is State.DELIVERED
    assert Overview(engine).list_jobs()[0]["delivered_at"] == at(100)


def test_what_was_refused_waits_for_an_operator(deliveries: Deliveries, job: str) -> None:
    deliveries.begin(job, plans("pacs"), at(91))
    mixed = [*outcomes(Delivered.STORED, [SEG]), *outcomes(Delivered.REJECTED, [SR])]
    assert deliveries.record(job, "pacs", mixed, at(100), None).state is State.UNDELIVERED
    assert deliveries.open(job, "pacs") == []
    assert deliveries.retry(job, plans("pacs"), "Kim", at(500)).state is State.DELIVERING
    (again,) = deliveries.open(job, "pacs")
    assert (again.stored, again.planned_at) == (SR, at(500)), "its age counts from now"


def committing(deliveries: Deliveries, job: str) -> None:
    deliveries.begin(job, plans("pacs", confirm=Confirm.COMMITMENT), at(91))
    deliveries.record(job, "pacs", outcomes(Delivered.STORED), at(100), None)
    deliveries.ask(job, "pacs", "9.1", at(100))
    deliveries.accepted("9.1", at(101))


def test_stored_is_not_delivered_before_it_is_committed(deliveries: Deliveries, job: str, jobs: Jobs) -> None:
    committing(deliveries, job)
    assert jobs.get(job).state is State.DELIVERING
    deliveries.ask(job, "pacs", "9.9", at(102))  # could not be asked: it does not count
    assert [(o.asked, o.asked_at) for o in deliveries.open(job, "pacs")] == [(1, at(101))] * 2
    after = deliveries.report(Report("9.1", frozenset(BOTH), {}), {}, {}, at(110))
    assert after is not None and after.job.state is State.DELIVERED


def test_a_report_says_of_each_object_what_becomes_of_it(deliveries: Deliveries, job: str, engine: sa.Engine) -> None:
    committing(deliveries, job)
    deliveries.report(Report("9.1", frozenset(["1.1"]), {"1.2": 0x0112}), {"1.2": "no such object"}, {}, at(110))
    assert waiting(deliveries, job) == [("1.2", Delivered.BUILT)]
    deliveries.record(job, "pacs", outcomes(Delivered.STORED, [SR]), at(120), None)
    deliveries.ask(job, "pacs", "9.2", at(121))
    after = deliveries.report(Report("9.2", frozenset(), {"1.2": 0x0122}), {}, {"1.2": "not supported"}, at(130))
    assert after is not None and after.job.state is State.UNDELIVERED
    shown = Overview(engine).job(job)
    assert shown is not None
    states = {d["sop_instance_uid"]: (d["state"], d["last_error"]) for d in shown["deliveries"]}
    assert states == {"1.1": ("committed", ""), "1.2": ("refused", "not supported")}


def test_an_answer_may_come_late_and_twice_but_not_to_a_question_nobody_asked(deliveries: Deliveries, job: str) -> None:
    committing(deliveries, job)
    deliveries.ask(job, "pacs", "9.2", at(400))
    for uid, changed in (("9.1", 2), ("9.1", 0), ("9.2", 0)):
        after = deliveries.report(Report(uid, frozenset(BOTH), {}), {}, {}, at(500))
        assert after is not None and after.job.state is State.DELIVERED
        assert (after.destination, len(after.outcomes)) == ("pacs", changed)
    assert deliveries.report(Report("8.8", frozenset(BOTH), {}), {}, {}, at(500)) is None


def test_what_is_seen_there_is_committed_and_what_is_lost_is_sent_again(deliveries: Deliveries, job: str) -> None:
    deliveries.begin(job, plans("pacs", confirm=Confirm.QUERY), at(91))
    deliveries.record(job, "pacs", outcomes(Delivered.STORED), at(100), None)
    deliveries.confirm(job, "pacs", frozenset(["1.1"]), {"1.2": "not found there"}, at(110))
    assert waiting(deliveries, job) == [("1.2", Delivered.BUILT)]


def test_what_is_open_when_time_is_over_is_refused(deliveries: Deliveries, job: str, engine: sa.Engine) -> None:
    committing(deliveries, job)
    assert deliveries.give_up(job, "pacs", "never confirmed", at(999)).state is State.UNDELIVERED
    assert [d["last_error"] for d in (Overview(engine).job(job) or {})["deliveries"]] == ["never confirmed"] * 2


def test_an_operator_sends_everything_again(deliveries: Deliveries, job: str) -> None:
    deliveries.begin(job, plans("pacs", "archive"), at(91))
    for name in ("pacs", "archive"):
        deliveries.record(job, name, outcomes(Delivered.STORED), at(100), None)
    assert deliveries.resend(job, plans("archive"), "Kim", at(200)).state is State.DELIVERING
    assert deliveries.open(job, "pacs") == []
    assert waiting(deliveries, job, "archive") == [("1.1", Delivered.BUILT), ("1.2", Delivered.BUILT)]
    assert [(due.job_id, due.destination, due.at_once) for due in deliveries.to_deliver()] == [(job, "archive", True)]


def test_the_notices_of_a_refused_job_are_delivered_and_it_stays_refused(
    deliveries: Deliveries, jobs: Jobs, records: Records, tmp_path: Path
) -> None:
    keep(Spool(tmp_path), records, arrival("1"))
    [job] = create_due_jobs(records, at(60), lambda _: 60.0)
    jobs.start(job, at(70))
    jobs.finish(job, Result(objects=[SR]), at(90))
    notice = {"pacs": Plan([SR.sop_instance_uid], Confirm.NONE)}
    assert deliveries.begin(job, notice, at(91)).state is State.REFUSED
    assert [(due.job_id, due.destination) for due in deliveries.to_deliver()] == [(job, "pacs")]
    assert deliveries.record(job, "pacs", outcomes(Delivered.STORED, [SR]), at(100), None).state is State.REFUSED
    assert deliveries.to_deliver() == []


def test_nothing_of_a_job_that_was_not_analysed_can_be_sent(
    deliveries: Deliveries, jobs: Jobs, records: Records, tmp_path: Path
) -> None:
    keep(Spool(tmp_path), records, arrival("1"))
    [job] = create_due_jobs(records, at(60), lambda _: 60.0)
    with pytest.raises(IllegalTransition):
        deliveries.resend(job, {}, "Kim", at(70))


def newer(records: Records, tmp_path: Path) -> str:
    """A later job of the same study."""
    keep(Spool(tmp_path), records, arrival("2", seconds=200))
    [job_id] = create_due_jobs(records, at(300), lambda _: 60.0)
    return job_id


def test_why_a_study_was_refused_is_not_told_any_more_when_the_rest_has_come(
    deliveries: Deliveries, jobs: Jobs, records: Records, tmp_path: Path
) -> None:
    keep(Spool(tmp_path), records, arrival("1"))
    [job] = create_due_jobs(records, at(60), lambda _: 60.0)
    jobs.start(job, at(70))
    jobs.finish(job, Result(objects=[SR]), at(90))
    deliveries.begin(job, {"pacs": Plan([SR.sop_instance_uid], Confirm.NONE)}, at(91))
    newer(records, tmp_path)
    assert deliveries.to_deliver() == []
    assert deliveries.open(job, "pacs") == []


def replaced(deliveries: Deliveries, newer_job: str) -> tuple[str, int, list[StoredObject]]:
    before, objects = deliveries.replaced_by(newer_job) or (None, [])
    assert before is not None and before.started_at is not None
    return before.job_id, before.number, objects


@pytest.mark.parametrize("since", ["committed", "sent again", "given up"])
def test_what_an_archive_may_hold_is_named_as_replaced(
    deliveries: Deliveries, records: Records, job: str, tmp_path: Path, since: str
) -> None:
    committing(deliveries, job)
    if since == "committed":
        deliveries.report(Report("9.1", frozenset(BOTH), {}), {}, {}, at(110))
    elif since == "sent again":
        deliveries.resend(job, plans("pacs"), "Kim", at(110))
    else:
        deliveries.give_up(job, "pacs", "never confirmed", at(110))
    assert replaced(deliveries, newer(records, tmp_path)) == (job, 1, [SEG, SR])


def test_what_nobody_was_sent_replaces_nothing(
    deliveries: Deliveries, records: Records, job: str, tmp_path: Path
) -> None:
    deliveries.begin(job, plans("pacs"), at(91))
    assert deliveries.replaced_by(newer(records, tmp_path)) is None


def test_only_unanswered_questions_lead_to_a_search(deliveries: Deliveries, job: str) -> None:
    committing(deliveries, job)
    deliveries.report(Report("9.1", frozenset(), dict.fromkeys(BOTH, 0x0213)), {}, {}, at(110))
    assert [(o.state, o.asked) for o in deliveries.open(job, "pacs")] == [(Delivered.STORED, 0)] * 2


def test_a_destination_that_confirms_no_more_releases_what_is_stored(deliveries: Deliveries, job: str) -> None:
    committing(deliveries, job)
    assert deliveries.follow(job, "pacs", Confirm.NONE, at(110)).state is State.DELIVERED


def test_a_plan_that_leaves_nothing_open_ends_the_job(deliveries: Deliveries, job: str) -> None:
    committing(deliveries, job)
    assert deliveries.begin(job, plans("pacs"), at(110)).state is State.DELIVERED, "nothing has to be confirmed now"


def test_sending_to_one_again_forgets_no_question_to_another(deliveries: Deliveries, job: str) -> None:
    committing(deliveries, job)
    deliveries.begin(job, plans("archive"), at(105))
    deliveries.resend(job, plans("archive"), "Kim", at(106))
    assert deliveries.report(Report("9.1", frozenset(BOTH), {}), {}, {}, at(110)) is not None


def test_nothing_goes_out_of_a_job_that_was_cancelled_meanwhile(deliveries: Deliveries, jobs: Jobs, job: str) -> None:
    deliveries.begin(job, plans("pacs"), at(91))
    deliveries.cancel(job, "Kim", at(92))
    assert not deliveries.mark_sent(job, "pacs", BOTH)


def states(engine: sa.Engine, job: str) -> dict[tuple[str, str], str]:
    shown = Overview(engine).job(job)
    assert shown is not None
    return {(d["destination"], d["sop_instance_uid"]): d["state"] for d in shown["deliveries"]}


def test_an_operator_stops_the_notices_of_a_refused_job(
    deliveries: Deliveries, jobs: Jobs, records: Records, tmp_path: Path, engine: sa.Engine
) -> None:
    keep(Spool(tmp_path), records, arrival("1"))
    [job] = create_due_jobs(records, at(60), lambda _: 60.0)
    jobs.start(job, at(70))
    notice = {"pacs": Plan([SR.sop_instance_uid], Confirm.NONE)}
    jobs.finish(job, Result(objects=[SR]), at(90), notice)
    deliveries.mark_sent(job, "pacs", BOTH)
    assert deliveries.cancel(job, "Kim", at(92)).state is State.REFUSED
    deliveries.record(job, "pacs", outcomes(Delivered.BUILT, [SR]), at(93), at(99))
    assert (deliveries.to_deliver(), deliveries.open(job, "pacs")) == ([], []), (
        "the attempt that failed is not repeated"
    )
    assert states(engine, job) == {("pacs", "1.2"): "withdrawn"}
    with pytest.raises(IllegalTransition, match="nothing of it is on its way"):
        deliveries.cancel(job, "Kim", at(94))


def test_what_is_delivered_cannot_be_stopped_and_says_so(deliveries: Deliveries, job: str) -> None:
    deliveries.begin(job, plans("pacs"), at(91))
    deliveries.record(job, "pacs", outcomes(Delivered.STORED), at(100), None)
    with pytest.raises(IllegalTransition, match="is delivered, and nothing of it is on its way"):
        deliveries.cancel(job, "Kim", at(110))


def test_what_is_in_flight_when_it_is_cancelled_may_be_there(
    deliveries: Deliveries, records: Records, job: str, tmp_path: Path, engine: sa.Engine
) -> None:
    deliveries.begin(job, plans("pacs"), at(91))
    deliveries.mark_sent(job, "pacs", BOTH)
    assert deliveries.cancel(job, "Kim", at(92)).state is State.CANCELLED
    deliveries.record(job, "pacs", outcomes(Delivered.STORED, [SEG]), at(93), None)
    assert states(engine, job) == {("pacs", "1.1"): "stored", ("pacs", "1.2"): "withdrawn"}
    assert replaced(deliveries, newer(records, tmp_path)) == (job, 1, [SEG, SR])


def test_a_destination_that_is_none_any_more_keeps_no_job_undelivered(
    deliveries: Deliveries, job: str, engine: sa.Engine
) -> None:
    deliveries.begin(job, plans("old"), at(91))
    deliveries.give_up(job, "old", "the destination is no longer configured", at(92))
    with pytest.raises(IllegalTransition, match="no destination is configured for it any more"):
        deliveries.retry(job, {}, "Kim", at(93))
    assert deliveries.retry(job, plans("new"), "Kim", at(94)).state is State.DELIVERING
    assert deliveries.record(job, "new", outcomes(Delivered.STORED), at(95), None).state is State.DELIVERED
    assert set(states(engine, job).items()) >= {(("old", "1.1"), "withdrawn"), (("new", "1.1"), "stored")}


def test_results_that_no_destination_wanted_can_be_sent_later(deliveries: Deliveries, job: str) -> None:
    assert deliveries.resend(job, plans("pacs"), "Kim", at(200)).state is State.DELIVERING
    assert [due.destination for due in deliveries.to_deliver()] == ["pacs"]


def test_a_report_for_a_job_that_is_forgotten_meanwhile_was_never_asked_for(
    deliveries: Deliveries, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliveries.begin(job, {"pacs": Plan(BOTH, Confirm.COMMITMENT)}, at(91))
    deliveries.ask(job, "pacs", "9.1", at(100))

    def forgotten(*_: object) -> None:
        raise NoSuchJob

    monkeypatch.setattr("service.store.deliveries.get", forgotten)
    assert deliveries.report(Report("9.1", frozenset(BOTH), {}), {}, {}, at(110)) is None


def test_an_object_that_is_kept_is_not_sent_again_because_an_old_attempt_ends_late(
    deliveries: Deliveries, job: str, engine: sa.Engine
) -> None:
    """Two processes may have been at it: the one that was given up for dead reports what it saw."""
    deliveries.begin(job, plans("pacs", confirm=Confirm.QUERY), at(91))
    deliveries.record(job, "pacs", outcomes(Delivered.STORED), at(100), None)
    deliveries.confirm(job, "pacs", frozenset(BOTH), {}, at(110))
    with pytest.raises(IllegalTransition, match="committed at its destination cannot wait"):
        deliveries.record(job, "pacs", outcomes(Delivered.BUILT), at(120), at(180))
    with engine.begin() as connection:
        shown = connection.execute(sa.text("SELECT state, attempts, next_attempt_at FROM deliveries")).all()
    assert shown == [("committed", 1, None)] * 2
