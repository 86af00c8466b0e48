"""What a kill, a restart, a PACS that is down and a late slice must not do: lose, repeat or confuse a study."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from helpers import make_ct, tiny_models
from helpers.damage_ct import CASES
from helpers.dicom_peers import free_port, wait_until
from helpers.receiving import dataset_bytes
from helpers.running_service import AET, RunningService
from pydicom import dcmread

from demo.pacs import StandInPacs
from service.network.peer import DicomNode
from service.network.send import Verdict, send
from tests.soak.modality import images_of, phantom


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A small study that is analysed."""
    return make_ct.write(images_of("1.2.3", phantom()), tmp_path_factory.mktemp("ct"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings of `inference`: what is computed does not matter here."""
    return {"repository": str(tiny_models.repository(tmp_path_factory.mktemp("models")))}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, models: dict[str, str]) -> Iterator[RunningService]:
    """A service without a destination and with two receivers, for tests that harm nothing but their own study."""
    folder, receiver = tmp_path_factory.mktemp("running"), {"processes": 2}
    with RunningService(folder, None, inference=models, receiver=receiver) as service:
        yield service


def of(study: list[Path], service: RunningService) -> list[dict[str, Any]]:
    """The jobs of a study, newest first."""
    uid = dcmread(study[0], stop_before_pixels=True).StudyInstanceUID
    return [job for job in service.jobs() if job["study_uid"] == uid]


def store(service: RunningService, files: list[Path]) -> None:
    node = DicomNode("service", AET, "127.0.0.1", service.port, "CT1")
    assert {o.verdict for o in send(node, files)} == {Verdict.STORED}


def test_kill_9_of_the_worker_while_it_analyses_loses_and_repeats_nothing(
    tmp_path: Path, ct: list[Path], models: dict[str, str]
) -> None:
    port = free_port()
    with (
        StandInPacs(tmp_path / "pacs", "PACS", port) as pacs,
        RunningService(tmp_path / "ai", ("PACS", port), inference=models) as service,
    ):
        store(service, ct)
        wait_until(lambda: ": lungs" in service.log(), 60)
        (worker,) = service.processes("worker")
        worker.kill()
        service.wait_for_job("delivered")
        assert service.log().count(": lungs") == 2, "the analysis was begun again"
        uids = [dcmread(p).SOPInstanceUID for p in pacs.received]
        assert len(uids) == len(set(uids)) == 5


def test_two_receivers_share_the_senders_and_one_is_enough(running: RunningService, tmp_path: Path) -> None:
    """Four at once; then one receiver is killed, and callers are answered while it starts anew."""
    senders = [f"CT{number}" for number in range(4)]

    def stored(sender: str, study: str) -> set[Verdict]:
        files = make_ct.write(images_of(f"1.2.{study}.{sender[2:]}", phantom()), tmp_path / f"{study}-{sender}")
        node = DicomNode("service", AET, "127.0.0.1", running.port, sender)
        return {one.verdict for one in send(node, files)}

    both = running.processes("receiver")
    assert len(both) == 2
    before = [one.io_counters().read_chars for one in both]
    with ThreadPoolExecutor(len(senders)) as pool:
        assert list(pool.map(stored, senders, ["71"] * len(senders))) == [{Verdict.STORED}] * len(senders)
    received = [one.io_counters().read_chars - was for one, was in zip(both, before, strict=True)]
    assert min(received) > max(received) / 4, f"{received} bytes were read"
    both[0].kill()
    for study in ("72", "73", "74"):
        assert stored("CT1", study) == {Verdict.STORED}
    wait_until(lambda: len(running.processes("receiver")) == 2, 30)


def test_a_pacs_that_is_down_gets_the_stored_bytes_later_and_nothing_is_analysed_twice(
    tmp_path: Path, ct: list[Path], models: dict[str, str]
) -> None:
    port = free_port()
    with RunningService(tmp_path / "ai", ("PACS", port), inference=models) as service:
        store(service, ct)
        service.wait_for_job("delivering")
        job = service.get("/api/jobs/" + service.jobs()[0]["job_id"])
        wait_until(lambda: "no connection to 127.0.0.1" in str(service.get(f"/api/jobs/{job['job_id']}")), 30)
        assert service.stop() == 0, "a stop with work in flight is clean"
        service.start()
        with StandInPacs(tmp_path / "pacs", "PACS", port) as pacs:
            service.wait_for_job("delivered")
            received = {dcmread(p).SOPInstanceUID: p for p in pacs.received}
        stored = {dcmread(p).SOPInstanceUID: p for p in (service.folder / "data" / "results").glob("*/*.dcm")}
        assert received.keys() == {one["sop_instance_uid"] for one in job["deliveries"]}
        assert all(dataset_bytes(stored[uid]) == dataset_bytes(path) for uid, path in received.items())
        assert service.log().count(": lungs") == 1


def test_a_restart_in_the_quiet_period_forgets_nothing(tmp_path: Path) -> None:
    files = make_ct.write(make_ct.make(study="restart").datasets[:10], tmp_path / "ct")
    quiet = timedelta(seconds=12)
    with RunningService(tmp_path / "ai", None, receiver={"quiet_s": quiet.total_seconds()}) as service:
        before = datetime.now(UTC)
        store(service, files)
        service.stop()
        service.start()
        job = service.wait_for_job("refused")
        assert datetime.fromisoformat(job["created_at"]) - before >= quiet, "the restart did not end the quiet period"
        assert {r["reason"] for r in service.get(f"/api/jobs/{job['job_id']}")["reasons"]} >= {"TOO_FEW"}


def test_a_late_slice_makes_a_job_that_supersedes_the_refused_one(tmp_path: Path, running: RunningService) -> None:
    datasets = make_ct.make(study="late").datasets
    late = make_ct.write(datasets[20:21], tmp_path / "late")
    rest = make_ct.write(datasets[:20] + datasets[21:], tmp_path / "ct")
    store(running, rest)
    wait_until(lambda: [job["state"] for job in of(rest, running)] == ["refused"], 240)
    (first,) = of(rest, running)
    assert "MISSING_SLICES" in {r["reason"] for r in running.get(f"/api/jobs/{first['job_id']}")["reasons"]}
    store(running, rest[:5])  # the same bytes again change nothing
    store(running, late)
    wait_until(lambda: len(of(rest, running)) == 2, 30)
    second = of(rest, running)[0]
    assert second["supersedes"] == first["job_id"]
    assert running.get(f"/api/jobs/{first['job_id']}")["superseded_by"] == second["job_id"]
    wait_until(lambda: of(rest, running)[0]["state"] in ("refused", "analysed"), 120)
    reasons = {r["reason"] for r in running.get(f"/api/jobs/{second['job_id']}")["reasons"]}
    assert "MISSING_SLICES" not in reasons


def test_one_bad_study_harms_no_other_and_each_refusal_is_counted(tmp_path: Path, running: RunningService) -> None:
    cases = {case.reason: case for case in CASES if case.reason in ("LOCALIZER", "TILT", "NOT_HU")}
    assert len(cases) == 3
    studies = [
        make_ct.write(images_of(f"1.2.4.{number}", case.make()), tmp_path / f"ct{number}")
        for number, case in enumerate(cases.values())
    ]
    for study in studies:
        store(running, study)
    for study in studies:
        wait_until(lambda study=study: [job["state"] for job in of(study, running)] == ["refused"], 240)
    metrics = running.metrics()
    assert all(f'thoracle_series{{reason="{reason}"}}' in metrics for reason in cases)
