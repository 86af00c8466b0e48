"""What the durable engine drives, on real tables and files; only the analysis and the network are stand-ins."""

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.runner_bench import ANALYSED, REFUSED, AnalysedStub, Bench, SevereStub
from pydicom import Dataset

from service.domain.job_state import IllegalTransition, State
from service.domain.review import Verdict
from service.domain.work import DONE, NOTHING_TO_DELIVER, Deliver
from service.errors import Reason, Refusal


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_an_analysed_job_is_saved_then_delivered(bench: Bench) -> None:
    assert bench.runner.analyse(bench.job_id, 1) == Deliver(("pacs",))
    assert bench.state is State.DELIVERING
    assert bench.courier.deliver(bench.job_id, "pacs", 1) == DONE
    assert bench.state is State.DELIVERED
    assert bench.sent == ["lobes.seg.dcm", "s.dcm"]
    assert bench.seen[0] == ("study", "analysed")
    assert bench.served.backend.urgencies == [bench.jobs.get(bench.job_id).urgency]


def test_what_operators_do_with_a_job_that_exists_is_in_the_audit_trail_refusals_too(bench: Bench) -> None:
    bench.operator.cancel(bench.job_id, "ada")
    with pytest.raises(IllegalTransition):
        bench.operator.resend(bench.job_id, "ada", ["moon"])
    for action in ("retry", "cancel", "resend", "reanalyse"):
        with pytest.raises(LookupError):
            getattr(bench.operator, action)("nonsense", "ada")
    with pytest.raises(LookupError):
        bench.operator.review("nonsense", "ada", Verdict.ACCEPTED)
    assert [(e["who"], e["what"], e["subject"], e["outcome"]) for e in bench.audit.entries()] == [
        ("ada", "resend", bench.job_id, "refused"),
        ("ada", "cancel", bench.job_id, "done"),
    ]


def test_a_severe_result_goes_before_others(bench: Bench) -> None:
    routine = bench.jobs.get(bench.job_id).priority
    assert bench.runner.analyse(bench.job_id, 1) == Deliver(("pacs",)), "not severe"
    severe = replace(ANALYSED, analysis=SevereStub())  # type: ignore[arg-type]
    bench.analysis, bench.job_id = (lambda: severe), bench.receive_another_slice()
    result = bench.runner.analyse(bench.job_id, 1)
    assert result == Deliver(("pacs",), routine - 7200)


def test_a_ranked_result_goes_before_others_and_stands_on_the_worklist(bench: Bench) -> None:
    routine = bench.jobs.get(bench.job_id).priority
    analysis = AnalysedStub()
    analysis.rank = 0.75
    ranked = replace(ANALYSED, analysis=analysis)  # type: ignore[arg-type]
    bench.analysis = lambda: ranked
    assert bench.runner.analyse(bench.job_id, 1) == Deliver(("pacs",), routine - 2700)
    (line,) = bench.worklist.entries()
    assert (line["job_id"], line["rank"]) == (bench.job_id, 0.75)


def test_a_refused_job_is_recorded_and_sent_nowhere(bench: Bench) -> None:
    bench.analysis = lambda: REFUSED
    assert bench.runner.analyse(bench.job_id, 1) == NOTHING_TO_DELIVER
    assert bench.state is State.REFUSED
    (reason,) = (bench.overview.job(bench.job_id) or {})["reasons"]
    assert (reason["reason"], reason["detail"]) == ("TILT", "12 degrees.")


def test_a_superseded_job_sends_nothing_more(bench: Bench) -> None:
    bench.runner.analyse(bench.job_id, 1)
    assert bench.state is State.DELIVERING
    newer = bench.receive_another_slice()
    assert bench.state is State.SUPERSEDED
    assert bench.courier.deliver(bench.job_id, "pacs", 1) == DONE
    assert bench.sent == []
    assert bench.runner.analyse(newer, 1) == Deliver(("pacs",))
    with pytest.raises(IllegalTransition, match="superseded by a newer one"):
        bench.operator.retry(bench.job_id, "Kim")


def test_what_was_purged_cannot_be_done_again(bench: Bench) -> None:
    bench.deliver(bench.job_id)
    bench.purge()
    for action in (bench.operator.retry, bench.operator.resend, bench.operator.reanalyse):
        with pytest.raises(IllegalTransition, match=f"the images and results of job {bench.job_id} were purged on 20"):
            action(bench.job_id, "Kim")
    assert bench.state is State.DELIVERED


def test_scores_and_reasons_are_counted_by_kind_of_scanner(bench: Bench) -> None:
    header = Dataset()
    header.Manufacturer, header.ManufacturerModelName, header.StationName = "Siemens", "SOMATOM Force", "CT-ROOM-3"
    headers = {"1.2": header}
    bench.analysis = lambda: replace(ANALYSED, headers=headers)
    bench.runner.analyse(bench.job_id, 1)
    twice = (Refusal(Reason.TILT, "12 degrees."), Refusal(Reason.NOT_AXIAL, "coronal"))
    bench.analysis = lambda: replace(REFUSED, headers=headers, refusals={"1.2": twice, "1.3": twice[:1]})
    bench.runner.analyse(bench.receive_another_slice(), 1)
    assert bench.counted == [
        ("covid-severity", "severity_score", "SIEMENS SOMATOM FORCE", 7.0),
        ("covid-severity", "opacity_percent", "SIEMENS SOMATOM FORCE", 3.0),
        ("SIEMENS SOMATOM FORCE", "NOT_AXIAL", "TILT"),
    ]


def test_a_job_of_a_pipeline_that_is_not_configured_any_more_is_not_analysed_again(bench: Bench) -> None:
    """The new job could only fail, and would have superseded a good one."""
    bench.runner.analyse(bench.job_id, 1)
    bench.configured.clear()
    with pytest.raises(IllegalTransition, match="the pipeline covid-severity is not configured any more"):
        bench.operator.reanalyse(bench.job_id, "Kim")
    assert bench.state is State.DELIVERING
