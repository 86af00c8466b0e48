"""The back end against a real Triton server: the same numbers as in process, and what happens when it fails."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import highdicom as hd
import numpy as np
import onnx
import pytest
import tritonclient.grpc as grpc
from helpers.authority import Authority
from helpers.dicom_peers import wait_until
from helpers.triton_server import TritonServer
from onnx import numpy_helper
from typer.testing import CliRunner

from models.lung_opacity.spec import SPEC
from service.cli import app
from service.domain.ports import Array
from service.domain.priority import Urgency
from service.errors import Permanent, Transient
from service.inference import repository as models
from service.inference import shared_memory, triton_batch
from service.inference.files import DIGESTS, MODEL_FILE, model_files
from service.inference.onnx import OnnxBackend
from service.inference.shared_memory import FOLDER, files
from service.inference.triton import SharedMemory, TritonBackend
from service.inference.triton_client import Address, TritonClient
from service.pipelines.shared.slices import infer_slices
from service.tls import TlsFiles

pytestmark = pytest.mark.peers

ROOT = Path(__file__).resolve().parents[2]
DEMO_CT = ROOT / "demo" / "ct"
LUNG_OPACITY, SHIPPED = "lung-opacity", SPEC.version


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("triton") / "models"
    models.create(folder, ROOT / "triton_repo")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[TritonServer]:
    with TritonServer(tmp_path_factory.mktemp("server"), repository) as running:
        yield running


@pytest.fixture(scope="module")
def here(repository: Path) -> OnnxBackend:
    return OnnxBackend(repository)


def there(server: TritonServer, repository: Path, memory: SharedMemory = "auto", **more: float) -> TritonBackend:
    """As a worker has it."""
    return TritonBackend(repository, server.address, shared_memory=memory, mends=True, **more)  # type: ignore[arg-type]


def slices(count: int, seed: int = 0) -> dict[str, Array]:
    hu = np.random.default_rng(seed).normal(-600, 300, (count, 1, 256, 256))
    return {"hu": hu.astype(np.int16)}


def same(one: dict[str, Array], other: dict[str, Array]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def analysed(out: Path) -> dict[str, str]:
    at = "2026-11-29T14:05:00+01:00"
    result = CliRunner().invoke(app, ["analyse", str(DEMO_CT), "--out", str(out), "--analysed-at", at])
    assert result.exit_code == 0, result.output
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in out.iterdir() if path.suffix != ".json"}


def test_both_back_ends_give_identical_results(
    server: TritonServer, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THORACLE_INFERENCE__REPOSITORY", str(repository))
    in_process = analysed(tmp_path / "onnx")
    before = server.metric("nv_inference_count", LUNG_OPACITY)
    monkeypatch.setenv("THORACLE_INFERENCE__BACKEND", "triton")
    monkeypatch.setenv("THORACLE_INFERENCE__TRITON__URL", server.address.url)
    assert analysed(tmp_path / "triton") == in_process
    assert server.metric("nv_inference_count", LUNG_OPACITY) - before > len(list(DEMO_CT.iterdir())) / 2
    assert {"lobes.seg.dcm", "findings.seg.dcm", "measurements.sr.dcm", "report.pdf"} <= in_process.keys()


@pytest.mark.parametrize("memory", ["always", "never"])
def test_every_batch_gets_the_same_answer(
    server: TritonServer, repository: Path, here: OnnxBackend, memory: SharedMemory
) -> None:
    backend = there(server, repository, memory)
    for count in (1, 3, 16, 4):
        batch = slices(count, count)
        assert same(backend.infer(LUNG_OPACITY, batch), here.infer(LUNG_OPACITY, batch))
    lungs = {"lungs": (np.random.default_rng(0).random((1, 2, 64, 64, 64)) > 0.5).astype(np.uint8) * 255}
    assert same(backend.infer("lobes", lungs), here.infer("lobes", lungs))
    assert backend.shares_memory == (memory == "always")


def test_wrong_inputs_are_refused_here(server: TritonServer, repository: Path) -> None:
    backend = there(server, repository)
    with pytest.raises(Permanent, match="takes hu as int16"):
        backend.infer(LUNG_OPACITY, slices(17))
    with pytest.raises(Permanent, match="triple is not installed"):
        backend.infer("triple", {})


def test_clients_at_once_do_not_meet(server: TritonServer, repository: Path, here: OnnxBackend) -> None:
    clients = [there(server, repository, "always") for _ in range(2)]
    batches = [slices(2, seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda k: clients[k % 2].infer(LUNG_OPACITY, batches[k]), range(8)))
    for batch, answer in zip(batches, answers, strict=True):
        assert same(answer, here.infer(LUNG_OPACITY, batch))


@pytest.mark.parametrize("instances", [1, 2])
def test_a_dead_model_is_found_and_mended(server: TritonServer, repository: Path, instances: int) -> None:
    backend = there(server, repository)
    backend.check()
    server.kill_model(LUNG_OPACITY, instances)
    assert TritonClient(server.address, 60).serves(backend.spec(LUNG_OPACITY)), "the server says that all is well"
    backend.check()
    again = server.log().count("loading: lung-opacity")
    backend.check()
    assert server.log().count("loading: lung-opacity") == again, "once was enough"
    assert again >= 2


def test_an_analysis_goes_on_over_a_dead_model(server: TritonServer, repository: Path, here: OnnxBackend) -> None:
    backend = there(server, repository)
    backend.check()
    server.kill_model(LUNG_OPACITY, 2)
    assert same(backend.infer(LUNG_OPACITY, slices(2)), here.infer(LUNG_OPACITY, slices(2)))


def test_a_model_that_is_not_loaded_is_loaded(server: TritonServer, repository: Path, here: OnnxBackend) -> None:
    backend = there(server, repository)
    backend.check()
    client = grpc.InferenceServerClient(server.address.url)
    for meet in (backend.check, lambda: None):
        client.unload_model(LUNG_OPACITY)
        wait_until(lambda: not client.is_model_ready(LUNG_OPACITY), 60)
        meet()
        assert same(backend.infer(LUNG_OPACITY, slices(1)), here.infer(LUNG_OPACITY, slices(1)))


def altered(folder: Path, version: str = SHIPPED) -> Path:
    """The client's repository, whose network for lungs and opacities is a little another, as that version."""
    models.create(folder, ROOT / "triton_repo")
    file = folder / LUNG_OPACITY / SHIPPED / MODEL_FILE
    spec = model_files(folder)[LUNG_OPACITY].spec
    network = onnx.load(file)
    for weight in network.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT and len(weight.dims) == 4:
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.02), weight.name))
    content = models.embed(network.SerializeToString(), replace(spec, version=version, sha256=""))
    target = folder / LUNG_OPACITY / version / MODEL_FILE
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(content)
    if version != SHIPPED:
        shutil.rmtree(folder / LUNG_OPACITY / SHIPPED)
    lines = [line for line in (folder / DIGESTS).read_text().splitlines() if LUNG_OPACITY not in line]
    lines.append(f"{sha256(content).hexdigest()}  {LUNG_OPACITY}/{version}/{MODEL_FILE}")
    (folder / DIGESTS).write_text("\n".join(lines) + "\n")
    return folder


def test_another_file_under_the_same_version_is_refused(server: TritonServer, tmp_path: Path) -> None:
    backend = there(server, altered(tmp_path / "other"))
    with pytest.raises(
        Transient, match=rf"lung-opacity version {SHIPPED} as it is in the repository: .*not what this model"
    ):
        backend.check()
    with pytest.raises(Transient, match="asked again"):
        backend.infer(LUNG_OPACITY, slices(1))


def test_who_only_reads_leaves_the_model_alone_that_serves_others(server: TritonServer, tmp_path: Path) -> None:
    """`thoracle doctor` beside a worker, with other files, and when a process of the model died."""
    loaded = server.log().count("loading: lung-opacity")
    stale = TritonBackend(altered(tmp_path / "stale"), server.address)
    with pytest.raises(Transient, match="not what this model"):
        stale.check()
    with pytest.raises(Transient, match="not what this model"):
        stale.infer(LUNG_OPACITY, slices(1))
    assert server.log().count("loading: lung-opacity") == loaded


def test_a_version_that_the_server_does_not_have_is_named(server: TritonServer, tmp_path: Path) -> None:
    backend = there(server, altered(tmp_path / "newer", "99"))
    with pytest.raises(Transient, match="loaded model lung-opacity, but not version 99"):
        backend.check()


def test_a_server_that_hangs_is_late_and_its_requests_are_cancelled(server: TritonServer, repository: Path) -> None:
    backend = there(server, repository, "always", timeout_s=6, concurrency=4)
    backend.check()
    server.pause()
    try:
        began = time.monotonic()
        with ThreadPoolExecutor(4) as threads:
            late = [threads.submit(backend.infer, LUNG_OPACITY, slices(1)) for _ in range(4)]
        assert time.monotonic() - began < 60
    finally:
        server.go_on()
    for one in late:
        with pytest.raises(Transient, match="no answer in time"):
            one.result()
    with pytest.raises(Transient, match="asked again in"):
        backend.infer(LUNG_OPACITY, slices(1))
    patient = there(server, repository, "always")
    wait_until(lambda: answers(patient), 60)


def answers(backend: TritonBackend) -> bool:
    try:
        backend.check()
    except Transient:
        return False
    return True


def when_busy(server: TritonServer) -> float:
    """Returns when requests wait at the server; images computed until then."""
    wait_until(lambda: server.metric("nv_inference_pending_request_count", LUNG_OPACITY) >= 8, 240)
    return server.metric("nv_inference_count", LUNG_OPACITY)


def infer_many(backend: TritonBackend) -> None:
    """16 requests at once, of four slices, the last of zeros."""
    (hu,) = slices(64).values()
    hu[-4:] = 0
    infer_slices([hd.Volume(hu[:, 0], np.eye(4), "PATIENT")], backend.spec(LUNG_OPACITY), backend)


def assert_not_computed(server: TritonServer, repository: Path, ended_at: float) -> None:
    """What was not begun when it was ended: of 64 images."""
    there(server, repository).infer(LUNG_OPACITY, slices(1))  # behind them in the queue
    assert server.metric("nv_inference_count", LUNG_OPACITY) - ended_at < 32


def test_what_waits_for_an_interrupted_caller_is_not_computed(server: TritonServer, repository: Path) -> None:
    backend = there(server, repository, timeout_s=600, concurrency=16)
    backend.check()
    ended_at = []

    def press_ctrl_c() -> None:
        ended_at.append(when_busy(server))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts with "&" ignores it
    finger = threading.Thread(target=press_ctrl_c)
    finger.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            infer_many(backend)
    finally:
        finger.join()
        signal.signal(signal.SIGINT, before)
    assert_not_computed(server, repository, *ended_at)
    backend.infer(LUNG_OPACITY, slices(1))  # the breaker is closed


class Failing(TritonBackend):
    """It refuses zeros, as soon as the others wait."""

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if name == LUNG_OPACITY and not inputs["hu"].any():
            raise Permanent(f"{when_busy(self.server)}")
        return super().infer(name, inputs)

    server: TritonServer


def test_the_first_request_that_fails_ends_the_others(server: TritonServer, repository: Path) -> None:
    backend = Failing(repository, server.address, timeout_s=600, concurrency=16)
    backend.server = server
    backend.check()
    with pytest.raises(Permanent) as refused:
        infer_many(backend)
    assert_not_computed(server, repository, float(str(refused.value)))


def test_what_waits_for_a_killed_worker_is_not_computed(server: TritonServer, repository: Path) -> None:
    script = (
        "import sys; from pathlib import Path; sys.path.append(sys.argv[3]); from test_triton import infer_many\n"
        "from service.inference.triton import TritonBackend; from service.inference.triton_client import Address\n"
        "infer_many(TritonBackend(Path(sys.argv[1]), Address(sys.argv[2]), timeout_s=600, concurrency=16))"
    )
    command = [sys.executable, "-c", script, str(repository), server.address.url, str(Path(__file__).parent)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment) as process:
        ended_at = when_busy(server)
        process.kill()
    assert_not_computed(server, repository, ended_at)


def test_an_urgent_study_overtakes_what_waits(server: TritonServer, repository: Path) -> None:
    backend = there(server, repository, concurrency=8)
    backend.check()
    ended: list[Urgency] = []

    def infer(urgency: Urgency) -> None:
        backend.at(urgency).infer(LUNG_OPACITY, slices(12))
        ended.append(urgency)

    with ThreadPoolExecutor(7) as threads:
        asked = [threads.submit(infer, Urgency.ROUTINE) for _ in range(6)]
        wait_until(lambda: server.metric("nv_inference_pending_request_count", LUNG_OPACITY) >= 4, 60)
        asked.append(threads.submit(infer, Urgency.STAT))
    for one in asked:
        one.result()
    assert ended.index(Urgency.STAT) <= 4, ended


def test_a_killed_client_leaves_nothing_behind(server: TritonServer, repository: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from service.inference.triton import TritonBackend as B\n"
        "from service.inference.triton_client import Address\n"
        "b = B(Path(sys.argv[1]), Address(sys.argv[2]), shared_memory='always'); b.check(); print('up', flush=True)\n"
        "sys.stdin.read()"
    )
    client = TritonClient(server.address, 60)
    backend = there(server, repository, "always")
    backend.check()
    ours = set(client.shared())
    command = [sys.executable, "-c", script, str(repository), server.address.url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        left = set(client.shared()) - ours
        assert left and all((FOLDER / name).exists() for name in left)
        process.kill()
    backend.check()
    assert not left & set(client.shared())
    assert not left & set(files())
    assert backend.shares_memory, "what is in use is left alone"


def test_without_room_for_shared_memory_messages_do(
    server: TritonServer, repository: Path, here: OnnxBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton_batch, "_size", lambda spec, batch: 2**60)
    auto = there(server, repository)
    assert same(auto.infer(LUNG_OPACITY, slices(1)), here.infer(LUNG_OPACITY, slices(1)))
    assert not auto.shares_memory
    with pytest.raises(Transient, match="MB of shared memory are not to be had"):
        there(server, repository, "always").check()


def test_a_server_that_cannot_see_our_memory_gets_messages(
    server: TritonServer, repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(triton_batch, "Region", lambda size: shared_memory.Region(size, tmp_path))
    auto = there(server, repository)
    auto.check()
    assert not auto.shares_memory
    with pytest.raises(Transient, match="Unable to open shared memory region"):
        there(server, repository, "always").check()


def test_a_server_that_is_killed_is_used_again_when_it_is_back(
    server: TritonServer, repository: Path, here: OnnxBackend
) -> None:
    backend = there(server, repository, "always")
    right = here.infer(LUNG_OPACITY, slices(16))
    assert same(backend.infer(LUNG_OPACITY, slices(16)), right)
    killer = threading.Timer(0.5, server.kill)
    killer.start()
    with pytest.raises(Transient, match=r"Triton at 127\.0\.0\.1"):
        for _ in range(100):
            backend.infer(LUNG_OPACITY, slices(16))
    killer.join()
    with pytest.raises(Transient):
        backend.check()
    server.start()
    backend.check()
    assert same(backend.infer(LUNG_OPACITY, slices(16)), right)


def test_a_restart_between_two_requests_costs_nothing(
    server: TritonServer, repository: Path, here: OnnxBackend
) -> None:
    backend = there(server, repository, "always")
    backend.check()
    server.kill()
    server.start()
    assert same(backend.infer(LUNG_OPACITY, slices(2)), here.infer(LUNG_OPACITY, slices(2)))


def test_only_a_known_client_is_let_in_by_tls(tmp_path: Path, repository: Path) -> None:
    hospital, stranger = Authority(tmp_path / "hospital"), Authority(tmp_path / "stranger")
    certificate, key = hospital.issue("triton")
    options = [
        "--grpc-use-ssl=1",
        "--grpc-use-ssl-mutual=1",
        f"--grpc-server-cert={certificate}",
        f"--grpc-server-key={key}",
        f"--grpc-root-cert={hospital.certificate}",
    ]
    with TritonServer(tmp_path / "server", repository, *options) as server:
        known = Address(server.address.url, TlsFiles(*hospital.issue("worker"), hospital.certificate))
        TritonBackend(repository, known).check()
        for address in (
            server.address,
            Address(server.address.url, TlsFiles(ca=hospital.certificate)),
            Address(server.address.url, TlsFiles(*stranger.issue("worker"), hospital.certificate)),
            Address(server.address.url, TlsFiles(*hospital.issue("other"), stranger.certificate)),
        ):
            with pytest.raises(Transient, match="Triton at"):
                TritonBackend(repository, address).check()


def test_certificates_that_are_not_there_are_named(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="certificates for Triton cannot be read"):
        TritonBackend(repository, Address(tls=TlsFiles(ca=tmp_path / "nobody.pem")))


def test_doctor_asks_the_server(
    server: TritonServer, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THORACLE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("THORACLE_INFERENCE__REPOSITORY", str(repository))
    monkeypatch.setenv("THORACLE_INFERENCE__BACKEND", "triton")
    for url, said in ((server.address.url, f"ok back end: {server.address.url} answers"), ("127.0.0.1:9", "FAIL back")):
        monkeypatch.setenv("THORACLE_INFERENCE__TRITON__URL", url)
        assert said in " ".join(CliRunner().invoke(app, ["doctor"]).output.split())
