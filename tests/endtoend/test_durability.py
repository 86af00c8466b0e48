"""What a kill, a restart, a PACS that is down and a late slice must not do: lose, repeat or confuse a study."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import make_ct
from damage_ct import CASES
from dicom_peers import free_port, wait_until
from pydicom import dcmread
from receiving import dataset_bytes
from running_service import AET, RunningService

from demo.pacs import StandInPacs
from service.network.peer import DicomNode
from service.network.send import Verdict, send
from service.network.send import dicom_files as files_of

DEMO_CT = Path(__file__).parents[2] / "demo" / "ct"


def store(service: RunningService, files: list[Path]) -> None:
    node = DicomNode("service", AET, "127.0.0.1", service.port, "CT1")
    assert {o.verdict for o in send(node, files)} == {Verdict.STORED}


def test_kill_9_of_the_worker_while_it_analyses_loses_and_repeats_nothing(tmp_path: Path) -> None:
    port = free_port()
    with (
        StandInPacs(tmp_path / "pacs", "PACS", port) as pacs,
        RunningService(tmp_path / "ai", ("PACS", port)) as service,
    ):
        store(service, files_of(DEMO_CT))
        wait_until(lambda: service.jobs() and service.jobs()[0]["state"] == "running", 60)
        wait_until(lambda: "lungs and opacities" in service.log(), 60)
        (worker,) = service.processes("worker")
        worker.kill()
        service.wait_for_job("delivered")
        assert service.log().count("lungs and opacities") == 2, "the analysis was begun again"
        uids = [dcmread(p).SOPInstanceUID for p in pacs.received]
        assert len(uids) == len(set(uids)) == 5


def test_a_pacs_that_is_down_gets_the_stored_bytes_later_and_nothing_is_analysed_twice(tmp_path: Path) -> None:
    port = free_port()
    with RunningService(tmp_path / "ai", ("PACS", port)) as service:
        store(service, files_of(DEMO_CT))
        service.wait_for_job("delivering")
        job = service.get("/api/jobs/" + service.jobs()[0]["job_id"])
        wait_until(lambda: "no connection to 127.0.0.1" in str(service.get(f"/api/jobs/{job['job_id']}")), 30)
        assert service.stop() == 0, "a stop with work in flight is clean"
        service.start()
        with StandInPacs(tmp_path / "pacs", "PACS", port) as pacs:
            service.wait_for_job("delivered")
            received = {dcmread(p).SOPInstanceUID: p for p in pacs.received}
        stored = {dcmread(p).SOPInstanceUID: p for p in (service.folder / "data" / "results").glob("*/*.dcm")}
        assert received.keys() == stored.keys()
        assert all(dataset_bytes(stored[uid]) == dataset_bytes(path) for uid, path in received.items())
        assert service.log().count("lungs and opacities") == 1


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


def test_a_late_slice_makes_a_job_that_supersedes_the_refused_one(tmp_path: Path) -> None:
    datasets = make_ct.make(study="late").datasets
    late = make_ct.write(datasets[20:21], tmp_path / "late")
    rest = make_ct.write(datasets[:20] + datasets[21:], tmp_path / "ct")
    with RunningService(tmp_path / "ai", None) as service:
        store(service, rest)
        first = service.wait_for_job("refused")
        assert "MISSING_SLICES" in {r["reason"] for r in service.get(f"/api/jobs/{first['job_id']}")["reasons"]}
        store(service, rest[:5])  # the same bytes again change nothing
        store(service, late)
        wait_until(lambda: len(service.jobs()) == 2, 30)
        second = service.jobs()[0]
        assert second["supersedes"] == first["job_id"]
        assert service.get(f"/api/jobs/{first['job_id']}")["superseded_by"] == second["job_id"]
        wait_until(lambda: service.jobs()[0]["state"] in ("refused", "analysed"), 120)
        reasons = {r["reason"] for r in service.get(f"/api/jobs/{second['job_id']}")["reasons"]}
        assert "MISSING_SLICES" not in reasons


def test_one_bad_study_harms_no_other_and_each_refusal_is_counted(tmp_path: Path) -> None:
    wanted = {"LOCALIZER", "TILT", "NOT_HU"}
    cases = [c for c in CASES if c.reason in wanted]
    with RunningService(tmp_path / "ai", None) as service:
        for number, case in enumerate(cases):
            store(service, make_ct.write(case.make(), tmp_path / f"ct{number}"))
        wait_until(lambda: [j["state"] for j in service.jobs()] == ["refused"] * len(cases), 120)
        metrics = service.metrics()
    assert all(f'thoracle_series{{reason="{reason}"}}' in metrics for reason in wanted)
