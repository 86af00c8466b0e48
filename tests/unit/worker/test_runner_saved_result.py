"""What is kept of an analysis: after a kill, and where a study was purged and comes again."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers.encryption import encryption
from helpers.runner_bench import ANALYSED, NOW, REFUSED, AnalysedStub, Bench, SevereStub

from service.analysis.analyst import Outcome
from service.domain.analysis import ModelUse
from service.domain.flags import LOSSY
from service.domain.job_state import State
from service.domain.work import DONE, NOTHING_TO_DELIVER, Deliver
from service.errors import Reason, Refusal
from service.evidence.context import Evidence
from service.store.file_keys import forget_keys
from service.store.spool import Spool
from service.store.tables import file_keys


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_every_step_may_run_again_after_a_kill(bench: Bench) -> None:
    for _ in range(2):
        assert bench.runner.analyse(bench.job_id, 1) == Deliver(("pacs",))
    for _ in range(2):
        assert bench.courier.deliver(bench.job_id, "pacs", 1) == DONE
    assert bench.runner.analyse(bench.job_id, 1) == NOTHING_TO_DELIVER
    assert bench.state is State.DELIVERED
    assert bench.sent == ["lobes.seg.dcm", "s.dcm"], "nothing is sent twice"


def test_what_a_killed_run_kept_is_what_is_recorded_and_sent(bench: Bench) -> None:
    """The second run has other UIDs, as after an upgrade, but the first bytes count."""
    bench.runner._save(bench.jobs.get(bench.job_id), ANALYSED, ())
    others = tuple(replace(e, sop_instance_uid=f"{e.sop_instance_uid}.7", content=b"new") for e in ANALYSED.evidence)
    capture = Evidence("capture", "capture.dcm", b"new", "1.2.840.3", "1.9.3")
    bench.analysis = lambda: replace(ANALYSED, evidence=(*others, capture))
    bench.runner.analyse(bench.job_id, 1)
    assert [o.sop_instance_uid for o in bench.jobs.objects(bench.job_id)] == ["1.9.1", "1.9.2"]
    with bench.spool.local([o.path for o in bench.jobs.objects(bench.job_id)]) as paths:
        assert [path.read_bytes() for path in paths] == [b"seg", b"sr"]


@pytest.mark.parametrize("then", ["another model", "a refusal"])
def test_a_job_is_labelled_with_the_models_of_what_a_killed_run_kept(bench: Bench, then: str) -> None:
    """Meanwhile the candidate became the active version: neither its name, score nor judgement belongs to the job."""

    class First(AnalysedStub):
        models = (ModelUse("lobes", "2", "b" * 64),)
        flags = (LOSSY,)

    class Second(SevereStub):
        models = (ModelUse("lobes", "3", "c" * 64),)

    job = bench.jobs.get(bench.job_id)
    bench.runner._save(job, replace(ANALYSED, analysis=First()), {"lobes"})  # type: ignore[arg-type]
    second = REFUSED if then == "a refusal" else replace(ANALYSED, analysis=Second())  # type: ignore[arg-type]
    bench.analysis = lambda: second
    assert bench.runner.analyse(bench.job_id, 1) == Deliver(("pacs",))
    (recorded,) = bench.overview.list_jobs()
    assert recorded["state"] == State.DELIVERING
    assert recorded["models"] == [{"name": "lobes", "version": "2", "sha256": "b" * 64, "candidate": True}]
    assert (recorded["headline"]["value"], recorded["flags"]) == (7, ["LOSSY"])
    assert ("lobes", "2") in bench.counted and ("lobes", "3") not in bench.counted
    assert bench.seen == [("study", "analysed")]


def test_what_a_version_kept_that_did_not_say_how_it_ended_is_saved_anew(bench: Bench) -> None:
    bench.spool.save_results(bench.job_id, {"s.dcm": b"old", "objects.json": b"[]"})
    bench.runner.analyse(bench.job_id, 1)
    with bench.spool.local([o.path for o in bench.jobs.objects(bench.job_id)]) as paths:
        assert [path.read_bytes() for path in paths] == [b"seg", b"sr"]


@pytest.mark.parametrize("key", ["not in this database", "forgotten"])
def test_results_whose_key_is_gone_are_saved_anew(bench: Bench, key: str, tmp_path: Path) -> None:
    """An older database was brought back, and the study was sent again: its job has the same id."""
    engine = bench.jobs._engine
    bench.spool = bench.runner._spool = Spool(tmp_path, encryption(engine))
    bench.runner._save(bench.jobs.get(bench.job_id), ANALYSED, ())
    with engine.begin() as connection:
        if key == "forgotten":
            forget_keys(connection, [f"results/{bench.job_id}"], NOW)
        else:
            connection.execute(sa.delete(file_keys))
    assert bench.runner.analyse(bench.job_id, 1) == Deliver(("pacs",))
    with bench.spool.local([o.path for o in bench.jobs.objects(bench.job_id)]) as paths:
        assert [path.read_bytes() for path in paths] == [b"seg", b"sr"]


def test_a_refusal_is_kept_as_it_was_found(bench: Bench) -> None:
    kept = bench.runner._save(bench.jobs.get(bench.job_id), REFUSED, ())
    assert kept.refusals == {"1.2": [Refusal(Reason.TILT, "12 degrees.")]}
    assert kept.facts == bench.runner._facts(bench.jobs.get(bench.job_id), REFUSED)


def test_a_purged_study_that_comes_again_gives_the_same_objects_again(bench: Bench) -> None:
    bench.analysis = lambda: replace(ANALYSED, evidence=tuple(replace(e, series_uid="1.9") for e in ANALYSED.evidence))
    bench.deliver(bench.job_id)
    bench.purge()
    again = bench.receive("1", b"a")
    bench.deliver(again)
    assert bench.replaced == [[], []], "it replaces nothing: it is the same"
    first, second = (bench.jobs.objects(job_id) for job_id in (bench.job_id, again))
    assert [o.sop_instance_uid for o in first] == [o.sop_instance_uid for o in second]
    assert bench.jobs.get(again).state is State.DELIVERED
    (before, same) = bench.runs
    assert same == before, "its time and its number are those of the objects that the archive has"


def test_a_study_that_comes_a_third_time_is_the_same_too_and_a_later_result_replaces_the_first(bench: Bench) -> None:
    """The archive holds one result, v1, whatever the jobs are called that made it."""
    old = tuple(replace(e, series_uid="1.9") for e in ANALYSED.evidence)
    new = tuple(replace(e, sop_instance_uid=f"{e.sop_instance_uid}.2") for e in old)

    def as_run_says() -> Outcome:
        """Other times, numbers and predecessors give other objects."""
        return replace(ANALYSED, evidence=old if bench.runs[-1] == bench.runs[0] else new)

    bench.analysis, job_id = as_run_says, bench.job_id
    for _ in range(3):
        bench.deliver(job_id)
        assert [o.sop_instance_uid for o in bench.jobs.objects(job_id)] == ["1.9.1", "1.9.2"]
        assert (bench.jobs.get(job_id).number, bench.jobs.get(job_id).started_at) == (1, NOW)
        bench.clock += timedelta(days=9)
        bench.purge()
        job_id = bench.receive("1", b"a")
    assert len(bench.runs) == 3
    bench.analysis = lambda: replace(ANALYSED, evidence=new)
    bench.deliver(job_id)
    replaces = bench.runs[-1].replaces
    assert replaces is not None and (replaces.number, replaces.analysed_at) == (1, NOW)
    assert (bench.replaced[-1], bench.jobs.get(job_id).number) == (["1.9.1", "1.9.2"], 2)


def test_where_the_models_have_changed_it_replaces_what_was_there(bench: Bench) -> None:
    old = tuple(replace(e, series_uid="1.9") for e in ANALYSED.evidence)
    new = tuple(replace(e, sop_instance_uid=f"{e.sop_instance_uid}.2") for e in old)
    bench.analysis = lambda: replace(ANALYSED, evidence=old)
    bench.deliver(bench.job_id)
    bench.purge()
    again = bench.receive("1", b"a")
    bench.analysis = lambda: replace(ANALYSED, evidence=new)
    bench.deliver(again)
    assert bench.replaced == [[], [], ["1.9.1", "1.9.2"]]
    assert [run.number for run in bench.runs] == [1, 1, 2]


def test_the_run_after_a_kill_has_the_time_of_the_first(bench: Bench) -> None:
    bench.jobs.start(bench.job_id, NOW)
    bench.clock = NOW + timedelta(minutes=5)
    bench.runner.analyse(bench.job_id, 1)
    assert [run.analysed_at for run in bench.runs] == [NOW]


def test_a_result_after_a_notice_is_told_that_it_replaces_one(bench: Bench) -> None:
    notice = Evidence("notice", "notice.dcm", b"sr", "1.2.840.2", "1.9.3", series_uid="1.9")
    bench.destinations["pacs"] = replace(bench.destinations["pacs"], kinds=frozenset(("notice", "study")))
    bench.analysis = lambda: replace(REFUSED, evidence=(notice,))
    bench.deliver(bench.job_id)
    bench.analysis = lambda: ANALYSED
    bench.deliver(bench.receive_another_slice())
    replaces = bench.runs[-1].replaces
    assert replaces is not None and (replaces.number, replaces.notice, replaces.analysed_at) == (1, True, NOW)
    assert bench.replaced == [[], ["1.9.3"]] and bench.runs[-1].number == 2


def test_what_came_after_a_purge_is_refused_without_a_notice(bench: Bench) -> None:
    notice = replace(REFUSED, evidence=(Evidence("study", "notice.dcm", b"sr", "1.2.840.2", "1.9.3"),))
    bench.deliver(bench.job_id)
    bench.purge()
    late = bench.receive("3", b"late")
    bench.analysis, bench.sent = (lambda: notice), []
    assert bench.runner.analyse(late, 1) == NOTHING_TO_DELIVER
    assert (bench.jobs.get(late).state, bench.jobs.objects(late)) == (State.REFUSED, [])
    bench.analysis = lambda: ANALYSED
    whole = bench.receive("1", b"a")
    bench.deliver(whole)
    bench.analysis = lambda: notice
    later = bench.receive("4", b"later")
    assert bench.runner.analyse(later, 1) == Deliver(("pacs",)), "the study is whole again, and this is about all of it"
