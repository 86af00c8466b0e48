"""Our sender against real destinations: Orthanc, DCMTK's storescp, and our own receiver where a status is needed."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import make_ct
from helpers.dicom_peers import Orthanc, StoreScp, free_port, wait_until
from helpers.receiving import Receiving, dataset_bytes
from pydicom import dcmread
from pydicom.uid import UID, JPEGLSLossless, RLELossless
from pynetdicom import evt
from pynetdicom.presentation import build_context

from service.network.dimse import VERIFICATION
from service.network.find import count_images
from service.network.peer import DicomNode, NoAssociation, associate, echo
from service.network.send import Verdict, dicom_files, send

pytestmark = pytest.mark.peers

REFUSING = """
import sys
from pynetdicom import AE, AllStoragePresentationContexts, evt
ae = AE("PACS")
ae.supported_contexts = AllStoragePresentationContexts
status = int(sys.argv[2], 16)
ae.start_server(("127.0.0.1", int(sys.argv[1])), evt_handlers=[(evt.EVT_C_STORE, lambda event: status)])
"""


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_ct.write(make_ct.make(slices=12).datasets, tmp_path_factory.mktemp("phantom"))


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


def node(port: int, ae_title: str = "PACS") -> DicomNode:
    return DicomNode("pacs", ae_title, "127.0.0.1", port, "THORACLE")


@pytest.mark.conformance("air/store")
def test_orthanc_gets_the_stored_bytes(orthanc: Orthanc, phantom: list[Path]) -> None:
    pacs = node(orthanc.port, Orthanc.AET)
    seen = []
    outcomes = send(pacs, phantom, seen.append)
    assert [(o.path, o.verdict, o.status) for o in outcomes] == [(p, Verdict.STORED, 0) for p in phantom]
    assert seen == outcomes
    kept = {i["MainDicomTags"]["SOPInstanceUID"]: i["ID"] for i in orthanc.get("/instances?expand")}
    for outcome in outcomes:
        assert orthanc.file(kept[outcome.sop_instance_uid]).endswith(dataset_bytes(outcome.path))


def test_orthanc_counts_the_images_of_a_series(orthanc: Orthanc, phantom: list[Path]) -> None:
    pacs = node(orthanc.port, Orthanc.AET)
    send(pacs, phantom)
    header = dcmread(phantom[0], stop_before_pixels=True)
    assert count_images(pacs, header.StudyInstanceUID, header.SeriesInstanceUID) == len(phantom)
    assert count_images(pacs, header.StudyInstanceUID, "1.2.3.4.5") is None


def test_echo_says_what_is_wrong(orthanc: Orthanc) -> None:
    assert echo(node(orthanc.port, Orthanc.AET)) is None
    assert echo(node(orthanc.port, "WRONG")) == "association rejected: Called AE title not recognised"
    nobody = free_port()
    assert echo(node(nobody)) == f"no connection to 127.0.0.1:{nobody}: Connection refused"
    assert count_images(node(free_port()), "1", "2") is None


def test_a_rejection_that_comes_before_anybody_looks_is_named(orthanc: Orthanc) -> None:
    late = [(evt.EVT_REQUESTED, lambda _event: time.sleep(0.5))]
    with pytest.raises(NoAssociation, match=r"^association rejected: Called AE title not recognised$"):
        associate(node(orthanc.port, "WRONG"), [build_context(VERIFICATION)], late)


def test_storescp_gets_every_transfer_syntax_in_one_go(tmp_path: Path) -> None:
    plain, jpegls, rle = (make_ct.make(slices=1, seed=n).datasets for n in (1, 2, 3))
    make_ct.compress(jpegls, JPEGLSLossless)
    make_ct.compress(rle, RLELossless)
    for n, dataset in enumerate((*plain, *jpegls, *rle)):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.826.0.1.{n}")
    paths = make_ct.write([*plain, *jpegls, *rle], tmp_path / "sent")
    with StoreScp(tmp_path / "pacs", "+xa") as pacs:
        assert [o.verdict for o in send(node(pacs.port), paths)] == [Verdict.STORED] * 3
        assert {dataset_bytes(p) for p in pacs.received} == {dataset_bytes(p) for p in paths}


def test_a_peer_that_only_knows_the_default_transfer_syntax_gets_it(tmp_path: Path, phantom: list[Path]) -> None:
    with StoreScp(tmp_path, "+xi") as pacs:
        assert [o.verdict for o in send(node(pacs.port), phantom[:2])] == [Verdict.STORED] * 2
        for sent, received in zip(phantom, pacs.received, strict=False):
            assert dcmread(received).file_meta.TransferSyntaxUID.is_implicit_VR
            assert dcmread(received).pixel_array.tobytes() == dcmread(sent).pixel_array.tobytes()


def test_a_transfer_syntax_that_is_not_accepted_is_final_and_named(tmp_path: Path, phantom: list[Path]) -> None:
    [dataset] = make_ct.compress(make_ct.make(slices=1, seed=5).datasets, JPEGLSLossless)
    [compressed] = make_ct.write([dataset], tmp_path / "sent")
    with StoreScp(tmp_path / "pacs") as pacs:
        outcomes = send(node(pacs.port), [compressed, phantom[0]])
    assert [o.verdict for o in outcomes] == [Verdict.PERMANENT, Verdict.STORED]
    assert outcomes[0].message == "CT Image Storage in JPEG-LS Lossless Image Compression is not accepted"


def test_more_kinds_than_one_association_can_name(tmp_path: Path) -> None:
    """70 SOP classes, each with its own and the default transfer syntax: 140 presentation contexts."""
    [dataset] = make_ct.make(slices=1).datasets
    paths = []
    for n in range(70):
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(f"1.2.826.0.1.3680043.9.9999.{n}")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.826.0.1.{n}")
        paths += make_ct.write([dataset], tmp_path / "sent" / f"{n:02d}")
    with Receiving(tmp_path / "data") as receiver:
        outcomes = send(receiver.node, dicom_files(tmp_path / "sent"))
        assert [(o.path, o.verdict) for o in outcomes] == [(p, Verdict.STORED) for p in paths]
        assert len(receiver.rows()) == 70
    assert receiver.counts.associations.count("released") == 2


def test_a_peer_that_is_down_or_rejects_us_may_come_back(orthanc: Orthanc, phantom: list[Path]) -> None:
    down = send(node(free_port()), phantom)
    assert [(o.verdict, o.status) for o in down] == [(Verdict.TRANSIENT, None)] * len(phantom)
    rejected = send(node(orthanc.port, "WRONG"), phantom[:1])
    assert [(o.verdict, o.message) for o in rejected] == [
        (Verdict.TRANSIENT, "association rejected: Called AE title not recognised")
    ]


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (0xB000, Verdict.STORED),
        (0xB007, Verdict.STORED),
        (0x0111, Verdict.STORED),
        (0xA700, Verdict.TRANSIENT),
        (0x0122, Verdict.PERMANENT),
        (0xA900, Verdict.PERMANENT),
        (0xC000, Verdict.TRANSIENT),
        (0x0124, Verdict.TRANSIENT),
    ],
)
def test_each_object_has_its_own_status(phantom: list[Path], status: int, verdict: Verdict) -> None:
    outcomes = send_to_refusing_peer(phantom[:2], status)
    assert [(o.status, o.verdict) for o in outcomes] == [(status, verdict)] * 2


@pytest.mark.parametrize("moment", ["--abort-after", "--abort-during"])
def test_an_aborted_association_leaves_the_rest_for_later(tmp_path: Path, phantom: list[Path], moment: str) -> None:
    with StoreScp(tmp_path, moment) as pacs:
        outcomes = send(node(pacs.port), phantom[:3])
    assert [(o.status, o.verdict) for o in outcomes] == [(None, Verdict.TRANSIENT)] * 3


def send_to_refusing_peer(paths: list[Path], status: int):  # type: ignore[no-untyped-def]
    """Send to an SCP in a process of its own that answers `status`."""
    port = free_port()
    peer = subprocess.Popen([sys.executable, "-c", REFUSING, str(port), f"{status:04X}"])
    try:
        wait_until(lambda: echo(node(port)) == "no presentation context was accepted")
        return send(node(port), paths)
    finally:
        peer.kill()
        peer.wait()
