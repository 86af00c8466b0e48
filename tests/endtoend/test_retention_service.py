"""The whole service with a retention time of a second: what is delivered goes, and may come again."""

from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_models
from helpers.dicom_peers import free_port, wait_until
from helpers.make_ct import write
from helpers.running_service import AET, RunningService

from demo.pacs import StandInPacs
from service.network.peer import DicomNode
from service.network.send import Verdict, send
from tests.soak.modality import images_of, phantom

A_SECOND = 1 / 86400


def purged(service: RunningService, files: list[Path], number: int) -> dict[str, Any]:
    """The newest job, after the files were sent, all was done and all was purged."""
    node = DicomNode("service", AET, "127.0.0.1", service.port, "CT1")
    assert {o.verdict for o in send(node, files)} == {Verdict.STORED}

    def gone() -> dict[str, Any] | None:
        jobs = service.jobs()
        return jobs[0] if len(jobs) == number and jobs[0]["purged_at"] else None

    job_id = wait_until(gone, 240)["job_id"]
    data = service.folder / "data"
    wait_until(lambda: not any([*(data / "spool").iterdir(), *(data / "results").iterdir()]), 60)
    return dict(service.get(f"/api/jobs/{job_id}") or {})


@pytest.mark.timeout(600)
def test_a_study_is_purged_and_comes_again_in_part_and_whole(tmp_path: Path) -> None:
    ct = write(images_of("1.2.3", phantom()), tmp_path / "ct")
    pacs = StandInPacs(tmp_path / "pacs", "PACS", port := free_port())
    there = {"ae_title": "PACS", "host": "127.0.0.1", "port": port, "retry_delays_s": [1], "notice": True}
    service = RunningService(
        tmp_path / "service",
        None,
        destinations={"pacs": there},
        inference={"repository": str(tiny_models.installed(tmp_path / "models"))},
        retention={"keep_days": A_SECOND},
    )
    with pacs, service:
        first = purged(service, ct, 1)
        assert first["state"] == "delivered"
        assert {d["state"] for d in first["deliveries"]} == {"committed"}
        kept = sorted(pacs.received)

        part = purged(service, ct[:20], 2)
        assert (part["state"], part["supersedes"]) == ("refused", first["job_id"])
        assert sorted(pacs.received) == kept, "a refusal of a part is no news about the study"
        steps = [step["step"] for step in part["journal"]]
        assert [steps.count(step) for step in ("purge", "begin anew")] == [2, 1]

        again = purged(service, ct, 3)
        assert again["state"] == "delivered"
        of = {job["job_id"]: {(o["sop_instance_uid"], o["sha256"]) for o in job["objects"]} for job in (first, again)}
        assert of[first["job_id"]] == of[again["job_id"]], "the same study gives the same UIDs and bytes"
        assert set(pacs.received) == set(kept), "and nothing is in the PACS twice"
        assert "thoracle_purged_studies_total 3.0" in service.metrics()
