"""How an analysis ended, as its file tells a run after a kill; the file may be of the version before."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.headlines import scored
from helpers.runner_bench import ANALYSED, REFUSED, AnalysedStub, Bench

from service.domain.flags import LOSSY, LUNG_AT_EDGE, Flag
from service.domain.job import Result
from service.domain.job_state import Event, State
from service.domain.priority import Urgency
from service.domain.work import NOTHING_TO_DELIVER, Deliver
from service.errors import Reason, Refusal
from service.worker.saved_result import ENDED, from_json, to_json

OF_0_2: dict[str, Any] = {
    "series_uid": "1.2",
    "refusals": {"1.3": [{"reason": "TILT", "detail": "12 degrees."}]},
    "flags": ["LOSSY", "LUNG_AT_EDGE"],
    "severity_total": 16,
    "opacity_percent": 41.5,
    "scanner": "SIEMENS SOMATOM FORCE",
    "timings_s": {"check": 1.0},
    "objects": [
        {
            "kind": "lobes",
            "sop_class_uid": "1.2.840.1",
            "sop_instance_uid": "1.9.1",
            "path": "lobes.seg.dcm",
            "sha256": "a" * 64,
            "style": None,
            "series_uid": None,
            "refers_to": [],
        }
    ],
    "facts": {
        "calling_ae": "CT1",
        "called_ae": "THORACLE",
        "station": "CT01",
        "descriptions": ["Thorax"],
        "body_part": "CHEST",
        "received_at": "2026-03-02T09:00:00Z",
    },
    "models": [{"name": "lobes", "version": "2", "sha256": "b" * 64, "candidate": False}],
    "shadows": {"lobes": "3"},
    "error": "",
}
"""Result of a severe study, as version 0.2 wrote it."""


def kept(event: str, **changes: Any) -> bytes:
    """The file as version 0.2 wrote it."""
    return json.dumps({"event": event, "result": OF_0_2 | changes}).encode()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_it_is_read_as_it_was_written(bench: Bench) -> None:
    flags = (LOSSY, LUNG_AT_EDGE.because("Right lung: 12 % of its surface."))
    first = replace(ANALYSED, analysis=with_flags(flags))
    recorded = bench.runner._save(bench.jobs.get(bench.job_id), first, ())
    assert recorded.event is Event.ANALYSE
    assert [flag.warning for flag in recorded.flags] == [flag.warning for flag in flags]
    assert [flag.doubt for flag in recorded.flags] == [None, "incomplete lungs"]
    assert recorded.headline == scored(7)
    assert (recorded.urgent, recorded.drift) == (False, {"severity_score": 7.0, "opacity_percent": 3.0})


def with_flags(flags: tuple[Flag, ...]) -> Any:
    """An analysis that raised these flags."""
    analysis = AnalysedStub()
    analysis.flags = flags
    return analysis


def test_what_version_0_2_kept_is_recorded(bench: Bench) -> None:
    """Score, warnings, urgency and numbers to watch: all of it as if that version had recorded it itself."""
    bench.spool.save_results(bench.job_id, {"lobes.seg.dcm": b"seg", ENDED: kept("analyse")})
    routine = bench.jobs.get(bench.job_id).priority
    bench.analysis = lambda: REFUSED
    assert bench.runner.analyse(bench.job_id, 1) == Deliver(("pacs",), bench.jobs.get(bench.job_id).priority)
    shown = bench.overview.job(bench.job_id)
    assert shown is not None
    assert (shown["state"], shown["series_uid"], shown["timings_s"]) == (State.DELIVERING, "1.2", {"check": 1.0})
    assert shown["headline"] == {
        "name": "CT severity score, Pan 2020, 0-25",
        "value": 16,
        "max": 25,
        "unit": "{score}",
        "category": "severe",
        "words": "involvement: severe",
        "remark": "",
    }
    assert shown["flags"] == ["LOSSY", "LUNG_AT_EDGE"]
    assert shown["warnings"] == [LOSSY.sentence, LUNG_AT_EDGE.sentence]
    assert [(r["series_uid"], r["reason"], r["detail"]) for r in shown["reasons"]] == [("1.3", "TILT", "12 degrees.")]
    assert shown["models"] == OF_0_2["models"]
    job = bench.jobs.get(bench.job_id)
    assert (job.urgency, job.priority) == (Urgency.URGENT, routine - 7200), "a severe result is urgent"
    assert ("covid-severity", "severity_score", "SIEMENS SOMATOM FORCE", 16.0) in bench.counted
    assert ("covid-severity", "opacity_percent", "SIEMENS SOMATOM FORCE", 41.5) in bench.counted
    (stored,) = bench.jobs.objects(bench.job_id)
    assert (stored.sop_instance_uid, Path(stored.path).name) == ("1.9.1", "lobes.seg.dcm")


@pytest.mark.parametrize(("score", "urgent"), [(14, False), (15, True), (None, False)])
def test_a_score_of_version_0_2_is_as_urgent_as_it_was(score: int | None, urgent: bool) -> None:
    found = from_json(kept("analyse", severity_total=score))
    assert found.urgent is urgent
    assert found.headline is not None and found.headline["value"] == score
    assert found.drift.get("severity_score") == score, "what was not scored is not watched"


def test_a_refusal_of_version_0_2_has_no_headline(bench: Bench) -> None:
    refused = kept("refuse", series_uid=None, flags=[], severity_total=None, opacity_percent=None, objects=[])
    found = from_json(refused)
    assert (found.event, found.headline, found.flags) == (Event.REFUSE, None, [])
    assert (found.urgent, found.drift) == (False, {})
    bench.spool.save_results(bench.job_id, {"result.json": b"{}", ENDED: refused})
    assert bench.runner.analyse(bench.job_id, 1) == NOTHING_TO_DELIVER
    assert bench.state is State.REFUSED


def test_a_refusal_is_read_as_it_was_written() -> None:
    refused = Result(refusals={"1.2": [Refusal(Reason.TILT, "12 degrees.")]}, flags=[], objects=[], models=[])
    assert from_json(to_json(refused)) == refused


def test_the_file_of_the_time_between_is_read() -> None:
    """Before it was the result itself it was an event and the result."""
    written = json.loads(to_json(Result(series_uid="1.2", headline=scored(7), flags=[], objects=[], models=[])))
    wrapped = json.dumps({"event": "analyse", "result": written}).encode()
    assert from_json(wrapped) == from_json(json.dumps(written).encode())


@pytest.mark.parametrize(
    ("result", "event"),
    [
        (Result(series_uid="1.2"), Event.ANALYSE),
        (Result(refusals={"1.2": [Refusal(Reason.TILT, "12 degrees.")]}), Event.REFUSE),
        (Result(error="disk full"), Event.FAIL),
        (Result(series_uid="1.2", error="disk full"), Event.FAIL),
    ],
)
def test_what_a_result_is_to_its_job(result: Result, event: Event) -> None:
    assert result.event is event


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"event": "analyse"}', b'{"event": "analyse", "result": 1}']
)
def test_what_is_no_such_file_is_named(content: bytes) -> None:
    with pytest.raises(ValueError):
        from_json(content)
