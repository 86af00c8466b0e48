"""Networks that fail as they do in hospitals: packets vanish, and nobody is told."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import sqlalchemy as sa
from helpers import tiny_models
from helpers.dicom_peers import Orthanc, StoreScp, free_port, wait_until
from helpers.make_ct import make, write
from helpers.many_hosts import Host
from helpers.network_namespaces import Link, Namespace
from helpers.pacs_audit import audit, files_in, results_in, unfinished
from helpers.postgresql import PostgreSQL
from helpers.receiving import Receiving
from helpers.running_service import AET, RunningService

from service.domain.job_state import State
from service.network.peer import DicomNode
from service.network.send import Verdict, send
from service.store.advisory_locks import AdvisoryLocks
from service.store.engine import database_engine
from service.store.tables import deliveries, jobs
from tests.soak.modality import images_of, phantom

TESTS = Path(__file__).parents[1]


@pytest.mark.peers
def test_a_modality_that_vanishes_within_an_image_holds_its_place_for_the_idle_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.network.receive.IDLE_S", 5.0)
    (image,) = write(make(slices=1).datasets, tmp_path / "ct")
    with Namespace() as ward:
        link = ward.link()
        with Receiving(tmp_path / "data", host=link.here, calls={"max_associations": 1}) as receiving:
            address = (link.here, str(receiving.port), Receiving.AET)
            command = [*ward.within, sys.executable, str(TESTS / "helpers" / "half_an_image.py"), *address]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as modality:
                assert modality.stdout is not None
                assert modality.stdout.readline() == "half\n"
                link.cut()
                modality.kill()
            (outcome,) = send(receiving.node, [image])
            assert outcome.verdict is Verdict.TRANSIENT, "there is one place, and it is taken"
            wait_until(lambda: send(receiving.node, [image])[0].verdict is Verdict.STORED, 30)
            assert receiving.counts.statuses == [0x0000], "half an image is none"


@pytest.mark.peers
def test_a_peer_that_is_away_is_found_out_once_not_for_each_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.network.peer.CONNECT_S", 2.0)
    images = write(make(slices=30).datasets, tmp_path)
    with Namespace() as elsewhere:
        link = elsewhere.link()
        link.cut()
        began = time.monotonic()
        outcomes = send(DicomNode("pacs", "PACS", link.there, 104, "AI"), images)
        assert {(o.verdict, o.message) for o in outcomes} == {
            (Verdict.TRANSIENT, f"no connection to {link.there}:104: timed out")
        }
        assert time.monotonic() - began < 30


@pytest.mark.peers
def test_an_image_that_cannot_get_through_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of it than the system buffers: whoever sends waits for room there, not for an answer."""
    monkeypatch.setattr("service.network.peer.ANSWER_S", 5.0)
    (large,) = make(slices=1).datasets
    large.PixelData = bytes(100_000_000)
    (image,) = write([large], tmp_path / "ct")
    with Namespace() as elsewhere, ThreadPoolExecutor() as beside:
        link = elsewhere.link()
        pacs = StoreScp(tmp_path / "pacs")
        pacs.host, pacs.within = link.there, elsewhere.within
        with pacs:
            sending = beside.submit(send, DicomNode("pacs", "PACS", link.there, pacs.port, "AI"), [image])
            wait_until(lambda: link.sent_bytes > 1_000_000)
            link.cut()
            (outcome,) = sending.result(60)
            assert outcome.verdict is Verdict.TRANSIENT


@dataclass
class Hospital:
    """The service, a PACS elsewhere that commits, and an archive beside the service.

    to_pacs: what the service sends goes this way. back: the PACS reports and is looked at this way.
    """

    service: RunningService
    pacs: Orthanc
    to_pacs: Link
    back: Link

    def send(self, study: str) -> str:
        """A study is sent; its job, when there is one."""
        with TemporaryDirectory() as folder:
            files = write(images_of(study, phantom()), Path(folder))
            node = DicomNode("service", AET, "127.0.0.1", self.service.port, "CT1")
            assert {o.verdict for o in send(node, files)} == {Verdict.STORED}
        jobs: list[dict[str, Any]] = wait_until(lambda: [j for j in self.service.jobs() if j["study_uid"] == study], 60)
        return str(jobs[0]["job_id"])

    def states(self, job: str, destination: str) -> set[str]:
        """Of the objects there."""
        deliveries = (self.service.get(f"/api/jobs/{job}") or {"deliveries": []})["deliveries"]
        return {d["state"] for d in deliveries if d["destination"] == destination}

    def attempts(self, job: str, destination: str) -> int:
        deliveries = (self.service.get(f"/api/jobs/{job}") or {"deliveries": []})["deliveries"]
        return max((d["attempts"] for d in deliveries if d["destination"] == destination), default=0)

    def asked(self, job: str) -> int:
        """How often the PACS was asked to commit."""
        journal = (self.service.get(f"/api/jobs/{job}") or {"journal": []})["journal"]
        return [step["step"] for step in journal].count("ask for commitment")

    def wait_committed(self, job: str, destination: str, timeout_s: float) -> None:
        wait_until(lambda: self.states(job, destination) == {"committed"}, timeout_s)

    def held(self, study: str) -> list[int]:
        """How often each result object of a study is in the PACS."""
        return list(results_in(self.pacs)[study].values())


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    folder, port = tmp_path_factory.mktemp("partitions"), free_port()
    with Namespace() as elsewhere, Orthanc(folder / "archive") as archive:
        to_pacs, back = elsewhere.link(), elsewhere.link()
        slow = folder / "slow.lua"
        slow.write_text("function ReceivedInstanceFilter() os.execute('sleep 1') return true end")
        us = {"AET": AET, "Host": back.here, "Port": port, "AllowStorageCommitment": True}
        options = {"RemoteAccessAllowed": True, "LuaScripts": [str(slow)], "DicomModalities": {"ai": us}}
        pacs = Orthanc(folder / "pacs", **options)
        pacs.host, pacs.within = back.there, elsewhere.within
        patience = {"retry_delays_s": [1, 2, 5], "answer_within_s": 15}
        to = {"ae_title": Orthanc.AET, "host": to_pacs.there, "port": pacs.port, **patience}
        web = {"kind": "dicomweb", "url": f"{archive.url}/dicom-web", **patience}
        with (
            pacs,
            RunningService(
                folder / "service",
                None,
                receiver={"host": "0.0.0.0", "port": port, "callers": {"*": {"addresses": ["0.0.0.0/0"]}}},
                inference={"repository": str(tiny_models.repository(folder / "models"))},
                destinations={"pacs": to, "archive": web},
            ) as service,
        ):
            yield Hospital(service, pacs, to_pacs, back)


@pytest.mark.peers
@pytest.mark.timeout(600)
def test_a_pacs_that_is_away_is_waited_for_and_delays_nobody_else(hospital: Hospital) -> None:
    hospital.to_pacs.cut()
    job = hospital.send("1.2.3.1")
    hospital.wait_committed(job, "archive", 240)
    wait_until(lambda: hospital.attempts(job, "pacs") >= 2, 120)
    assert hospital.states(job, "pacs") <= {"built", "sent"}
    hospital.to_pacs.heal()
    hospital.wait_committed(job, "pacs", 120)
    assert hospital.held("1.2.3.1") == [1] * 5


@pytest.mark.peers
@pytest.mark.timeout(600)
def test_a_pacs_that_vanishes_within_a_delivery_gets_each_object_once(hospital: Hospital) -> None:
    job = hospital.send("1.2.3.2")
    wait_until(lambda: results_in(hospital.pacs).get("1.2.3.2"), 240)
    hospital.to_pacs.cut()
    assert "sent" in hospital.states(job, "pacs"), "the rest is on its way"
    wait_until(lambda: hospital.attempts(job, "pacs") >= 1, 180)
    assert "committed" not in hospital.states(job, "pacs")
    hospital.wait_committed(job, "archive", 60)
    hospital.to_pacs.heal()
    hospital.wait_committed(job, "pacs", 180)
    assert hospital.held("1.2.3.2") == [1] * 5


@pytest.mark.peers
@pytest.mark.timeout(600)
def test_a_report_that_vanishes_is_asked_for_again(hospital: Hospital) -> None:
    hospital.back.cut()
    job = hospital.send("1.2.3.3")
    wait_until(lambda: hospital.states(job, "pacs") == {"stored"}, 240)
    wait_until(lambda: hospital.asked(job) >= 2, 120)
    assert hospital.states(job, "pacs") == {"stored"}
    hospital.back.heal()
    hospital.wait_committed(job, "pacs", 180)
    assert hospital.attempts(job, "pacs") == 1, "nothing is sent again"
    assert hospital.held("1.2.3.3") == [1] * 5


@pytest.mark.peers
@pytest.mark.timeout(600)
def test_a_worker_cut_off_from_the_database_ends_and_another_takes_over(tmp_path: Path) -> None:
    port = free_port()
    us = {"AET": AET, "Host": "127.0.0.1", "Port": port, "AllowStorageCommitment": True}
    with ExitStack() as running:
        elsewhere = running.enter_context(Namespace())
        to_database, to_pacs = elsewhere.link(), elsewhere.link()
        url = running.enter_context(PostgreSQL(to_database.here)).create()
        pacs = running.enter_context(Orthanc(tmp_path / "pacs", DicomModalities={"ai": us}))
        to = {"ae_title": Orthanc.AET, "host": to_pacs.here, "port": pacs.port}
        settings = {
            "data_dir": str(tmp_path / "data"),
            "database_url": url,
            "receiver": {"port": port, "host": "127.0.0.1", "quiet_s": 2, "min_free_gb": 0.1},
            "destinations": {"pacs": {**to, "retry_delays_s": [1, 2, 5], "answer_within_s": 15}},
        }
        database = database_engine(url)
        running.callback(database.dispose)
        locks = AdvisoryLocks(database)
        receiver = Host(tmp_path / "receiver", "receiver", settings, {})
        first = Host(tmp_path / "first", "worker", settings, {}, within=elsewhere.within)
        second = Host(tmp_path / "second", "worker", settings, {})
        for host in (receiver, first, second):
            running.callback(host.kill)

        def send_study(study: str) -> None:
            files = write(images_of(study, phantom()), tmp_path / study)
            assert {o.verdict for o in send(DicomNode("ai", AET, "127.0.0.1", port, "CT1"), files)} == {Verdict.STORED}

        def delivered(number: int) -> bool:
            query = sa.select(sa.func.count()).where(jobs.c.state == State.DELIVERED)
            with database.begin() as connection:
                return connection.scalar(query) == number and not unfinished(database)

        receiver.start()
        wait_until(lambda: locks.members("receiver") == 1, 120)
        first.start()
        wait_until(lambda: locks.members("worker") == 1, 120)
        send_study("1.2.3.4")
        wait_until(lambda: ": lungs" in first.log(), 60)
        to_database.cut()
        second.start()
        wait_until(lambda: not first.alive, 40)
        assert ": analysed" not in first.log()
        wait_until(lambda: delivered(1), 240)
        to_database.heal()
        first.start()
        wait_until(lambda: locks.members("worker") == 2, 120)
        send_study("1.2.3.5")
        wait_until(lambda: delivered(2), 240)
        found = audit({"1.2.3.4", "1.2.3.5"}, database, database, files_in(tmp_path / "data"), pacs)
        assert found.clean, found
        with database.begin() as connection:
            assert set(connection.scalars(sa.select(deliveries.c.attempts))) == {1}, "nothing was sent twice"
