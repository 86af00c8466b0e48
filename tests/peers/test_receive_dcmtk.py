"""The receiver against DCMTK's senders and, for what those cannot send, our own."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import make_ct, receiving
from helpers.dicom_peers import dcmtk, start_dcmtk, wait_until
from helpers.receiving import Receiving, dataset_bytes
from helpers.shared_data import shared_data
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
)

from service.domain.pressure import Marks
from service.network.admission import Admission
from service.network.answers import StoreAnswer
from service.network.callers import ANYWHERE, Caller
from service.network.peer import echo
from service.network.send import Verdict, send
from service.ops.metrics import Metrics

pytestmark = pytest.mark.peers

LISTEN = Path(receiving.__file__)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """40 slices."""
    return make_ct.write(make_ct.make(slices=40).datasets, tmp_path_factory.mktemp("phantom"))


def uid(path: Path) -> str:
    return str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)


def assert_stored_as_sent(receiver: Receiving, paths: list[Path]) -> None:
    assert set(receiver.rows()) == {uid(p) for p in paths}
    for path in paths:
        assert receiver.dataset_bytes(uid(path)) == dataset_bytes(path)


@pytest.mark.conformance("accepted-contexts/Verification")
def test_echo(tmp_path: Path) -> None:
    with Receiving(tmp_path) as receiver:
        assert dcmtk("echoscu", "127.0.0.1", receiver.port).returncode == 0
        assert echo(receiver.node) is None


@pytest.mark.conformance("store-answers/0000", "accepted-contexts/storage", "security-profiles/signatures")
def test_storescu_sends_a_series_byte_for_byte(tmp_path: Path, phantom: list[Path]) -> None:
    with Receiving(tmp_path) as receiver:
        sent = dcmtk("storescu", "-aet", "CT1", "-aec", receiver.AET, "127.0.0.1", receiver.port, *phantom)
        assert sent.returncode == 0, sent.stderr
        assert_stored_as_sent(receiver, phantom)
        [series] = receiver.records.series_of(str(dcmread(phantom[0]).StudyInstanceUID))
        assert (series.calling_ae, series.modality, len(series.paths)) == ("CT1", "CT", 40)
    assert receiver.counts.statuses == [0] * 40
    assert receiver.counts.associations == ["accepted", "released"]


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless])
def test_compressed_images_stay_as_they_are(tmp_path: Path, syntax: UID) -> None:
    datasets = make_ct.compress(make_ct.make(slices=3).datasets, syntax)
    paths = make_ct.write(datasets, tmp_path / "sent")
    with Receiving(tmp_path / "data") as receiver:
        sent = dcmtk("dcmsend", "--decompress-never", "127.0.0.1", receiver.port, *paths)
        assert sent.returncode == 0, sent.stderr
        assert_stored_as_sent(receiver, paths)
        assert {row.transfer_syntax_uid for row in receiver.rows().values()} == {syntax}


def test_deflated_images_stay_as_they_are(tmp_path: Path) -> None:
    [dataset] = make_ct.make(slices=1).datasets
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    paths = make_ct.write([dataset], tmp_path / "sent")
    with Receiving(tmp_path / "data") as receiver:
        assert [o.verdict for o in send(receiver.node, paths)] == [Verdict.STORED]
        assert_stored_as_sent(receiver, paths)


def test_a_real_jpeg_lossless_ct_with_invalid_uids_arrives_whole(tmp_path: Path) -> None:
    paths = sorted(shared_data("dicom/covid-ct-md/P001").glob("*.dcm"))
    with Receiving(tmp_path) as receiver:
        sent = dcmtk("storescu", "--propose-lossless", "127.0.0.1", receiver.port, *paths)
        assert sent.returncode == 0, sent.stderr
        assert set(receiver.rows()) == {uid(p) for p in paths}
        for path in paths[::20]:  # storescu writes sequences anew: the dataset is the same, its bytes are not
            assert dcmread(receiver.path(uid(path))) == dcmread(path)

        # Its file meta information names no instance: our sender has to take the name from the dataset.
        assert {o.verdict for o in send(receiver.node, paths[:3])} == {Verdict.STORED}


def test_four_senders_at_once(tmp_path: Path, phantom: list[Path]) -> None:
    with Receiving(tmp_path) as receiver:
        senders = [start_dcmtk("dcmsend", "127.0.0.1", receiver.port, *phantom[k::4]) for k in range(4)]
        assert [sender.wait(60) for sender in senders] == [0] * 4
        assert_stored_as_sent(receiver, phantom)
    assert receiver.counts.associations.count("released") == 4


def test_an_aborted_association_keeps_what_came(tmp_path: Path, phantom: list[Path]) -> None:
    with Receiving(tmp_path) as receiver:
        dcmtk("storescu", "--abort", "127.0.0.1", receiver.port, *phantom[:10])
        wait_until(lambda: "aborted" in receiver.counts.associations)
        assert_stored_as_sent(receiver, phantom[:10])


def test_a_sender_killed_midway_leaves_whole_files_and_may_send_again(tmp_path: Path, phantom: list[Path]) -> None:
    with Receiving(tmp_path) as receiver:
        sender = start_dcmtk("dcmsend", "127.0.0.1", receiver.port, *phantom)
        wait_until(lambda: len(receiver.counts.statuses) >= 5)
        sender.send_signal(signal.SIGKILL)
        sender.wait()
        wait_until(lambda: "aborted" in receiver.counts.associations)
        first = receiver.rows()
        assert 5 <= len(first) < len(phantom), "the sender was killed too late to show anything"
        assert list(tmp_path.rglob("*.part")) == []
        for path in (p for p in phantom if uid(p) in first):
            assert receiver.dataset_bytes(uid(path)) == dataset_bytes(path)

        assert dcmtk("dcmsend", "127.0.0.1", receiver.port, *phantom).returncode == 0
        assert_stored_as_sent(receiver, phantom)


@pytest.mark.conformance("rejections/calling_ae")
def test_an_unknown_calling_ae_is_rejected(tmp_path: Path, phantom: list[Path]) -> None:
    with Receiving(tmp_path, calls={"callers": {"CT1": Caller(ANYWHERE)}}) as receiver:
        stranger = dcmtk("storescu", "-aet", "STRANGER", "127.0.0.1", receiver.port, phantom[0])
        assert stranger.returncode != 0
        assert "Calling AE Title Not Recognized" in stranger.stderr
        assert dcmtk("storescu", "-aet", "CT1", "127.0.0.1", receiver.port, phantom[0]).returncode == 0
    assert receiver.counts.associations == ["rejected", "accepted", "released"]


@pytest.mark.conformance("rejections/called_ae")
def test_another_called_ae_is_rejected_where_required(tmp_path: Path) -> None:
    with Receiving(tmp_path, calls={"require_called_aet": True}) as receiver:
        assert dcmtk("echoscu", "-aec", "ELSEWHERE", "127.0.0.1", receiver.port).returncode != 0
        assert dcmtk("echoscu", "-aec", receiver.AET, "127.0.0.1", receiver.port).returncode == 0


@pytest.mark.conformance("store-answers/A700")
def test_a_full_disk_answers_out_of_resources(tmp_path: Path, phantom: list[Path]) -> None:
    full = Marks(min_free_bytes=1e18, resume_free_bytes=1e18)
    admission = Admission(full, lambda: 1e9, lambda: 0, lambda _: False, Metrics())
    with Receiving(tmp_path, admission=admission) as receiver:
        sent = dcmtk("storescu", "-v", "127.0.0.1", receiver.port, phantom[0])
        assert "OutOfResources" in sent.stderr
        [outcome] = send(receiver.node, phantom[:1])
        assert (outcome.status, outcome.verdict) == (StoreAnswer.OUT_OF_RESOURCES, Verdict.TRANSIENT)
        assert receiver.rows() == {}


def test_odd_but_readable_instances_survive(tmp_path: Path) -> None:
    """UUID-style UIDs, a Cyrillic name, private elements."""
    datasets = make_ct.make(slices=2).datasets
    for n, dataset in enumerate(datasets):
        dataset.SOPInstanceUID = f"6f1c2a34-0000-4b1d-9c3e-00000000000{n}"
        dataset.SeriesInstanceUID = "6f1c2a34-1111-4b1d-9c3e-0123456789ab"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.SpecificCharacterSet = "ISO_IR 144"
        dataset.PatientName = "Люкceмбypг"
        dataset.private_block(0x0029, "ODD VENDOR", create=True).add_new(0x10, "OB", b"\x00\xff\x01\xfe")
    paths = make_ct.write(datasets, tmp_path / "sent")
    with Receiving(tmp_path / "data") as receiver:
        assert [o.verdict for o in send(receiver.node, paths)] == [Verdict.STORED] * 2
        assert_stored_as_sent(receiver, paths)


def other_instance(sop_class: str, modality: str, number: int) -> Dataset:
    [dataset] = make_ct.make(slices=1).datasets
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.826.0.1.{number}")
    dataset.Modality = modality
    return dataset


def test_anything_but_ct_is_stored_and_ignored_by_name(tmp_path: Path) -> None:
    others = [other_instance(MRImageStorage, "MR", 1), other_instance("1.2.826.0.1.3680043.9.9999.1", "OT", 2)]
    paths = make_ct.write(others, tmp_path / "sent")
    with Receiving(tmp_path / "data") as receiver:
        assert [o.verdict for o in send(receiver.node, paths)] == [Verdict.STORED] * 2
        rows = receiver.rows()
        assert rows["1.2.826.0.1.1"].ignored == "NOT_CT: MR Image Storage, modality MR"
        assert rows["1.2.826.0.1.2"].ignored == "NOT_CT: 1.2.826.0.1.3680043.9.9999.1, modality OT"
        assert_stored_as_sent(receiver, paths)


@pytest.mark.conformance("store-answers/A900")
def test_an_instance_without_its_series_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    [dataset] = make_ct.make(slices=1).datasets
    del dataset.SeriesInstanceUID
    paths = make_ct.write([dataset], tmp_path / "sent")
    with Receiving(tmp_path / "data") as receiver:
        [outcome] = send(receiver.node, paths)
        assert (outcome.status, outcome.verdict) == (StoreAnswer.DOES_NOT_MATCH, Verdict.PERMANENT)
        assert receiver.rows() == {}
    assert "SeriesInstanceUID missing" in caplog.text


def test_another_instance_than_announced_is_refused(tmp_path: Path) -> None:
    [dataset] = make_ct.make(slices=1).datasets
    [path] = make_ct.write([dataset], tmp_path / "sent")
    content = path.read_bytes()
    announced = dataset.SOPInstanceUID.encode()
    assert content.count(announced) == 2, "once in the file meta information, once in the dataset"
    path.write_bytes(content.replace(announced, announced[:-1] + b"x", 1))
    with Receiving(tmp_path / "data") as receiver:
        assert [o.status for o in send(receiver.node, [path])] == [StoreAnswer.DOES_NOT_MATCH]


@pytest.mark.conformance("store-answers/C000")
def test_the_service_survives_its_own_failure(
    tmp_path: Path, phantom: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiving(tmp_path) as receiver:
        with monkeypatch.context() as broken:
            broken.setattr(receiver.inbox, "take", lambda _: 1 / 0)
            assert [o.status for o in send(receiver.node, phantom[:1])] == [StoreAnswer.CANNOT_UNDERSTAND]
        assert [o.verdict for o in send(receiver.node, phantom[:1])] == [Verdict.STORED]


def test_everything_acknowledged_survives_kill_9(tmp_path: Path, phantom: list[Path]) -> None:
    """Several kills at different moments; what the sender was told is stored is on disk, whole, and recorded."""
    for delay_s in (0.0, 0.003, 0.02):
        folder = tmp_path / str(delay_s)
        process = subprocess.Popen([sys.executable, str(LISTEN), str(folder)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        receiver = Receiving(folder)
        receiver.port = int(process.stdout.readline())
        acknowledged = []

        def kill_after_five(outcome, acknowledged=acknowledged, delay_s=delay_s, process=process):  # type: ignore[no-untyped-def]
            if outcome.verdict is Verdict.STORED:
                acknowledged.append(outcome.path)
            if len(acknowledged) == 5:
                time.sleep(delay_s)
                process.kill()

        send(receiver.node, phantom, kill_after_five)
        process.wait()
        assert 5 <= len(acknowledged) < len(phantom)
        for path in acknowledged:
            assert receiver.dataset_bytes(uid(path)) == dataset_bytes(path)
