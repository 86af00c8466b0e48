"""What fails is tried again, and in the end told by name."""

from datetime import timedelta
from pathlib import Path

import pytest
from helpers.runner_bench import ANALYSED, NOW, Bench, raising
from sqlalchemy.exc import OperationalError

from service.domain.job_state import IllegalTransition, State
from service.domain.work import DONE, NOTHING_TO_DELIVER, TryAgain
from service.errors import Permanent, Transient
from service.network.send import Verdict


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_database_that_is_busy_fails_no_study(bench: Bench) -> None:
    bench.analysis = raising(OperationalError("SELECT", {}, Exception("database is locked")))
    with pytest.raises(OperationalError):
        bench.runner.analyse(bench.job_id, 1)
    assert bench.state is State.RUNNING


@pytest.mark.parametrize("error", [Transient("the model server is away"), OSError(28, "No space left on device")])
def test_a_transient_failure_is_tried_again_and_fails_in_the_end(bench: Bench, error: Exception) -> None:
    bench.analysis = raising(error)
    assert bench.runner.analyse(bench.job_id, 1) == TryAgain(60.0)
    assert bench.state is State.QUEUED
    assert bench.runner.analyse(bench.job_id, 2) == TryAgain(300.0)
    bench.clock = NOW + timedelta(hours=25)
    assert bench.runner.analyse(bench.job_id, 3) == NOTHING_TO_DELIVER
    assert bench.state is State.FAILED
    assert str(error) in bench.error


def test_an_internal_error_fails_this_job_only_and_its_message_stays_out_of_records_and_logs(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.analysis = raising(ValueError("PatientName is Doe^Jane"))
    assert bench.runner.analyse(bench.job_id, 1) == NOTHING_TO_DELIVER
    assert bench.state is State.FAILED
    assert "ValueError" in bench.error
    assert "Doe" not in bench.error + caplog.text
    assert "runner_bench.py" in caplog.text, "where it happened is logged"


def test_a_permanent_failure_keeps_its_sentence(bench: Bench) -> None:
    bench.analysis = raising(Permanent("Model lobes failed."))
    assert bench.runner.analyse(bench.job_id, 1) == NOTHING_TO_DELIVER
    assert bench.error == "Model lobes failed."


def test_a_retry_sends_only_what_is_missing(bench: Bench) -> None:
    bench.runner.analyse(bench.job_id, 1)
    bench.verdicts = lambda path: Verdict.STORED if path.name == "s.dcm" else Verdict.TRANSIENT
    assert bench.courier.deliver(bench.job_id, "pacs", 1) == TryAgain(5.0)
    assert bench.courier.deliver(bench.job_id, "pacs", 2) == TryAgain(60.0)
    bench.verdicts = lambda path: Verdict.STORED
    assert bench.courier.deliver(bench.job_id, "pacs", 3) == DONE
    assert bench.state is State.DELIVERED
    assert bench.sent == ["lobes.seg.dcm", "s.dcm", "lobes.seg.dcm", "lobes.seg.dcm"]


def test_a_final_refusal_of_one_object_does_not_stop_the_others(bench: Bench) -> None:
    bench.runner.analyse(bench.job_id, 1)
    bench.verdicts = lambda path: Verdict.PERMANENT if path.name == "s.dcm" else Verdict.STORED
    assert bench.courier.deliver(bench.job_id, "pacs", 1) == DONE
    assert bench.state is State.UNDELIVERED
    states = {d["sop_instance_uid"]: d["state"] for d in (bench.overview.job(bench.job_id) or {})["deliveries"]}
    assert states == {"1.9.1": "stored", "1.9.2": "refused"}


def test_delivery_is_given_up_when_it_is_too_old(bench: Bench) -> None:
    bench.runner.analyse(bench.job_id, 1)
    bench.verdicts = lambda path: Verdict.TRANSIENT
    assert bench.courier.deliver(bench.job_id, "pacs", 1) == TryAgain(5.0)
    bench.clock = NOW + timedelta(hours=2)
    assert bench.courier.deliver(bench.job_id, "pacs", 2) == DONE
    assert bench.state is State.UNDELIVERED
    assert "given up: because" in str(bench.overview.job(bench.job_id))


def test_a_job_whose_processes_died_again_and_again_is_abandoned_once(bench: Bench) -> None:
    bench.jobs.start(bench.job_id, NOW)
    for _ in range(2):
        bench.runner.abandon(bench.job_id)
    assert bench.state is State.FAILED
    assert "died repeatedly" in bench.error
    assert bench.seen == [("study", "failed")]


def test_a_destination_that_is_no_longer_configured_ends_the_delivery_by_name(bench: Bench) -> None:
    bench.runner.analyse(bench.job_id, 1)
    bench.destinations.clear()
    assert bench.courier.deliver(bench.job_id, "pacs", 1) == DONE
    assert bench.state is State.UNDELIVERED
    assert "no longer configured" in str(bench.overview.job(bench.job_id))


def test_an_operator_may_retry_what_failed_and_only_that(bench: Bench) -> None:
    bench.analysis = raising(Permanent("Model lobes failed."))
    bench.runner.analyse(bench.job_id, 1)
    assert bench.operator.retry(bench.job_id, "Kim").state is State.QUEUED
    bench.analysis = lambda: ANALYSED
    bench.runner.analyse(bench.job_id, 2)
    bench.verdicts = lambda path: Verdict.PERMANENT
    bench.courier.deliver(bench.job_id, "pacs", 1)
    assert bench.operator.retry(bench.job_id, "Kim").state is State.DELIVERING
    assert [(d.job_id, d.destination, d.at_once) for d in bench.deliveries.to_deliver()] == [
        (bench.job_id, "pacs", True)
    ]
    bench.verdicts = lambda path: Verdict.STORED
    bench.courier.deliver(bench.job_id, "pacs", 2)
    assert bench.state is State.DELIVERED
    with pytest.raises(IllegalTransition, match="only failed and undelivered"):
        bench.operator.retry(bench.job_id, "Kim")
