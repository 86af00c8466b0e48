"""The whole service on PostgreSQL instead of SQLite."""

from pathlib import Path

import pytest
from helpers import tiny_models
from helpers.dicom_peers import free_port, wait_until
from helpers.make_ct import write
from helpers.postgresql import PostgreSQL
from helpers.running_service import AET, RunningService
from pydicom import dcmread

from demo.pacs import StandInPacs
from service.network.peer import DicomNode
from service.network.send import Verdict, send
from tests.soak.modality import images_of, phantom


@pytest.mark.peers
def test_a_study_survives_that_the_database_cuts_all_sessions(postgresql: PostgreSQL, tmp_path: Path) -> None:
    port, url = free_port(), postgresql.create()
    ct = write(images_of("1.2.3", phantom()), tmp_path / "ct")
    models = {"repository": str(tiny_models.repository(tmp_path / "models"))}
    with (
        StandInPacs(tmp_path / "pacs", "PACS", port) as pacs,
        RunningService(tmp_path / "ai", ("PACS", port), database_url=url, inference=models) as service,
    ):
        node = DicomNode("service", AET, "127.0.0.1", service.port, "CT1")
        assert {o.verdict for o in send(node, ct)} == {Verdict.STORED}
        wait_until(lambda: ": lungs" in service.log(), 120)
        (worker,) = service.processes("worker")
        (receiver,) = service.processes("receiver")
        postgresql.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{url.rsplit('/', 1)[1]}'"
        )
        worker.wait(10)  # it ends at once: another may have taken over
        service.wait_for_job("delivered")
        assert service.processes("receiver") == [receiver]
        assert service.get("/readyz") is not None
        uids = [dcmread(p).SOPInstanceUID for p in pacs.received]
        assert len(uids) == len(set(uids)) == 5
    assert not list((tmp_path / "ai" / "data").glob("*.db")), "nothing is kept beside PostgreSQL"
