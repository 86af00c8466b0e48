"""DICOM audit messages (PS3.15 A.5) at a real collector, rsyslog over TLS: what happens, and nothing lost by a kill."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from helpers import tiny_models
from helpers.authority import Authority
from helpers.dicom_peers import Orthanc, dcmtk, wait_until
from helpers.make_ct import write
from helpers.rsyslog import Rsyslog
from helpers.running_service import AET, RunningService

from service.composition.users import users
from service.domain.login import API, LOG_IN, LOG_OUT
from service.network.peer import DicomNode
from service.network.send import Verdict, send
from service.settings import load
from tests.soak.modality import images_of, phantom

pytestmark = pytest.mark.peers


def kinds(messages: list[Element]) -> Counter[tuple[str, str]]:
    """How many there are of each event and outcome."""
    found = [one.find("EventIdentification") for one in messages]
    return Counter(
        (event.find("EventID").get("originalText", ""), event.get("EventOutcomeIndicator", ""))  # type: ignore[union-attr]
        for event in found
        if event is not None
    )


def told_of(messages: list[Element], kind: str, study: str) -> list[Element]:
    """Messages of a kind that name a study."""
    of_kind = [one for one in messages if kinds([one])[kind, "0"] or kinds([one])[kind, "4"]]
    return [one for one in of_kind if study in subjects(one)]


def subjects(message: Element) -> set[str | None]:
    """What a message is about, by its identifiers."""
    return {one.get("ParticipantObjectID") for one in message.iter("ParticipantObjectIdentification")}


def run(service: RunningService, *arguments: str) -> None:
    command = [sys.executable, "-m", "service", *arguments, "--config", str(service.config)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.timeout(600)
@pytest.mark.conformance("security-profiles/audit-trail", "air/audit")
def test_the_collector_hears_of_everything_also_after_kills(tmp_path: Path, hospital: Authority) -> None:
    ct = write(images_of("1.2.3", phantom()), tmp_path / "ct")
    collector = Rsyslog(tmp_path / "rsyslog", hospital)
    pacs = Orthanc(tmp_path / "pacs")
    there = {"ae_title": pacs.AET, "host": "127.0.0.1", "port": pacs.port, "retry_delays_s": [1], "confirm": "query"}
    service = RunningService(
        tmp_path / "service",
        None,
        receiver={"callers": {"CT1": {"addresses": ["127.0.0.1"]}}, "max_waiting": 50},
        destinations={"pacs": there},
        inference={"repository": str(tiny_models.installed(tmp_path / "models"))},
        audit={"collector": collector.settings, "source": "thoracle@test"},
    )
    with pacs, collector, service:
        node = DicomNode("service", AET, "127.0.0.1", service.port, "CT1")
        assert {o.verdict for o in send(node, ct)} == {Verdict.STORED}
        refused = dcmtk("echoscu", "-aet", "EVIL", "-aec", AET, "127.0.0.1", service.port)
        assert refused.returncode != 0
        wait_until(lambda: [j for j in service.jobs() if j["state"] == "delivered"], 240)
        collector.kill()
        run(service, "audit")
        run(service, "tokens", "add", "ris", "--role", "viewer")
        assert (service.get("/api/audit?limit=1") or {"entries": []})["entries"], "read by HTTP, too"
        trail = users(load(service.config))[2]
        for what, outcome in ((LOG_IN, "done"), (LOG_IN, "refused"), (LOG_OUT, "done")):
            trail.note("ada (OpenID)", what, API, outcome, address="10.0.0.1")
        run(service, "backup", str(tmp_path / "backup"))
        service.kill()
        service.start()
        collector.start()
        wait_until(lambda: kinds(collector.messages())["Export", "0"], 60)
        service.stop()
    messages = collector.messages()
    found = kinds(messages)
    assert found["Application Activity", "0"] >= 8, (
        "three processes start twice; of the second time all but the sender end"
    )
    assert found["Security Alert", "4"] == 1
    assert (found["Audit Log Used", "0"], found["Export", "0"]) == (2, 1)
    assert (found["User Authentication", "0"], found["User Authentication", "4"]) == (2, 1)
    users_changed = [one for one in messages if one.find(".//EventTypeCode[@csd-code='110137']") is not None]
    assert len(users_changed) == 1, "a token was made"
    assert found["Query", "0"] >= 1
    (came,) = told_of(messages, "DICOM Instances Transferred", "1.2.3")[:1]
    number = came.find(".//SOPClass")
    assert number is not None and number.get("NumberOfInstances") == str(len(ct))
    assert "<none>" not in subjects(came), "the phantom's Patient ID is told"
    assert told_of(messages, "DICOM Instances Accessed", "1.2.3")
    begun = told_of(messages, "Begin Transferring DICOM Instances", "1.2.3")
    assert begun and len(told_of(messages, "DICOM Instances Transferred", "1.2.3")) == len(begun) + 1
    collector.check()


def test_messages_leave_this_machine_by_tls_only(tmp_path: Path) -> None:
    config = tmp_path / "thoracle.yaml"
    config.write_text(json.dumps({"audit": {"collector": {"host": "collector.example"}}}))
    command = [sys.executable, "-m", "service", "doctor", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0 and "messages name patients" in " ".join((done.stdout + done.stderr).split())
