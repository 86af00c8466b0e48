"""Networks that fail as they do in hospitals: packets vanish, and nobody is told."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from dicom_peers import wait_until
from make_ct import make, write
from network_namespaces import Namespace
from receiving import Receiving

from service.network.peer import DicomNode
from service.network.send import Verdict, send

TESTS = Path(__file__).parents[1]


@pytest.mark.peers
def test_a_modality_that_vanishes_within_an_image_holds_its_place_for_the_idle_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.network.receive._IDLE_S", 5.0)
    (image,) = write(make(slices=1).datasets, tmp_path / "ct")
    with Namespace() as ward:
        link = ward.link()
        with Receiving(tmp_path / "data", host=link.here, max_associations=1) as receiving:
            address = (link.here, str(receiving.port), Receiving.AET)
            command = [*ward.within, sys.executable, str(TESTS / "half_an_image.py"), *address]
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
    monkeypatch.setattr("service.network.peer._CONNECT_S", 2.0)
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
