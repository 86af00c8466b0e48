"""What Triton answers is judged before it is believed: its shape, its errors, and a model that answers wrongly."""

from pathlib import Path
from typing import Any

import grpc as plain_grpc
import numpy as np
import pytest
import tritonclient.grpc as grpc
from helpers import tiny_models
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from service.domain.ports import Array
from service.domain.priority import Urgency
from service.errors import Permanent, Transient
from service.inference import repository, triton_batch
from service.inference.breaker import Breaker
from service.inference.known_answer import KnownAnswer
from service.inference.shared_memory import CannotShare, Region
from service.inference.triton import TritonBackend
from service.inference.triton_batch import InMessages, InSharedMemory, InSharedMemoryIfPossible
from service.inference.triton_client import Address, Broken, Terms, TritonClient, UnderWay, Unreachable, Wrong
from service.settings import default_repository

SPEC = tiny_models.numbered(tiny_models.LUNGS, 1)
SHAPE = [2, 1, tiny_models.SIZE, tiny_models.SIZE]
INPUTS: dict[str, Array] = {"hu": np.zeros(SHAPE, np.int16)}
TERMS = Terms(0.0, 1)


class OutputStatistics:
    """A client of a server that answers with zeros of this type and shape."""

    def __init__(self, datatype: str, shape: list[int], name: str = "probability") -> None:
        self.response = service_pb2.ModelInferResponse()
        self.response.outputs.add(name=name, datatype=datatype, shape=shape)
        self.response.raw_output_contents.append(bytes(int(np.prod(shape))))

    def infer(self, *_: Any) -> grpc.InferResult:
        return grpc.InferResult(self.response)

    def share(self, *_: Any) -> None: ...


@pytest.fixture(params=["messages", "shared memory"])
def transport(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(triton_batch, "Region", lambda size: Region(size, tmp_path))
    if request.param == "messages":
        return InMessages
    return lambda client: InSharedMemory(client, [SPEC], 1)


def test_the_right_answer_is_taken(transport: Any) -> None:
    assert transport(OutputStatistics("UINT8", SHAPE)).infer(SPEC, INPUTS, TERMS)["probability"].shape == tuple(SHAPE)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (OutputStatistics("UINT8", [1, *SHAPE[1:]]), r"UINT8 of shape \[1, 1, 128, 128\], not UINT8 of \[2, 1"),
        (OutputStatistics("BOOL", SHAPE), "BOOL of shape"),
        (OutputStatistics("UINT8", SHAPE, "other"), "probability is nothing"),
    ],
    ids=["shorter", "type", "missing"],
)
def test_another_answer_than_asked_is_not_taken(transport: Any, answers: OutputStatistics, said: str) -> None:
    """In shared memory the rest of the region would be the answer before, perhaps another patient's."""
    with pytest.raises(Wrong, match=said):
        transport(answers).infer(SPEC, INPUTS, TERMS)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (plain_grpc.StatusCode.INTERNAL, "out of CUDA memory", Broken),
        (plain_grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2", Unreachable),
        (plain_grpc.StatusCode.RESOURCE_EXHAUSTED, "too many pings", Transient),
        (plain_grpc.StatusCode.UNKNOWN, "Stream removed", Transient),
        (plain_grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape", Permanent),
    ],
)
def test_a_failure_is_the_models_only_where_the_server_says_so(
    status: plain_grpc.StatusCode, message: str, kind: type[Exception]
) -> None:
    client = TritonClient(Address("127.0.0.1:9"), 1.0)
    assert type(client._in_words(InferenceServerException(message, str(status)), "model lungs")) is kind


class Loaded(TritonBackend):
    """Its model answers the check as `answers` says, a word for each time; "right" when there are no more."""

    def __init__(
        self, root: Path, answers: list[str], versions: dict[str, str] | None = None, mends: bool = True
    ) -> None:
        super().__init__(root, Address("127.0.0.1:9"), versions=versions, mends=mends)
        self.answers, self.reloaded = answers, 0
        self._client.reload = self._count  # type: ignore[method-assign]

    def _count(self, name: str) -> None:
        self.reloaded += 1

    def _check_answers(self, known: KnownAnswer) -> None:
        match self.answers.pop(0) if self.answers else "right":
            case "broken":
                raise Broken("no memory")
            case "wrong":
                raise Wrong("all black")

    def ask(self) -> None:
        self._check(KnownAnswer(self.spec("lobes"), {}, {}))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "models"
    repository.create(folder, default_repository())
    tiny_models.serve(folder, tiny_models.lobes(), tiny_models.LOBES)
    return folder


@pytest.mark.parametrize(("answers", "reloaded"), [([], 0), (["broken"], 0), (["broken"] * 2, 1), (["wrong"] * 2, 1)])
def test_a_model_is_loaded_anew_only_when_it_fails_twice(root: Path, answers: list[str], reloaded: int) -> None:
    backend = Loaded(root, answers)
    backend.ask()
    assert backend.reloaded == reloaded


def test_for_wrong_answers_a_model_is_loaded_anew_once_until_they_are_right(root: Path) -> None:
    backend = Loaded(root, ["wrong"] * 5)
    for _ in range(2):
        with pytest.raises(Wrong, match="all black"):
            backend.ask()
    assert backend.reloaded == 1
    backend.ask()
    backend.answers = ["wrong"] * 2
    backend.ask()
    assert backend.reloaded == 2


@pytest.mark.parametrize("answers", ["broken", "wrong"])
@pytest.mark.parametrize(("versions", "mends"), [({"lobes": "1"}, True), (None, False)], ids=["on trial", "reader"])
def test_for_a_version_on_trial_and_by_who_only_reads_nothing_is_loaded_anew(
    root: Path, answers: str, versions: dict[str, str] | None, mends: bool
) -> None:
    backend = Loaded(root, [answers] * 3, versions, mends)
    with pytest.raises(Broken):
        backend.ask()
    assert backend.reloaded == 0


class OutOfMemory(Loaded):
    """It passes the known-answer check; to a study it says `fails` times that it failed."""

    def __init__(self, root: Path, fails: int) -> None:
        super().__init__(root, [])
        self.fails, self.asked, self.canaries = fails, 0, 0
        self._breaker = Breaker(self._count_check)

    def _count_check(self) -> None:
        self.canaries += 1

    def _ask(self, *_: Any) -> dict[str, Array]:
        self.asked += 1
        if self.asked <= self.fails:
            raise Broken("failed to allocate memory")
        return {}

    def study(self) -> dict[str, Array]:
        (tensor,) = self.spec("lobes").inputs
        return self.infer("lobes", {tensor.name: np.zeros((1, *tensor.dims), tensor.dtype)})


def test_a_server_short_of_memory_fails_no_study_for_good(root: Path) -> None:
    backend = OutOfMemory(root, 99)
    with pytest.raises(Transient, match=r"allocate memory .*while the known-answer check passes"):
        backend.study()
    assert (backend.asked, backend.canaries) == (1 + backend.concurrency, 2)


def test_a_study_is_asked_as_often_as_there_are_instances_one_of_which_may_be_dead(root: Path) -> None:
    backend = OutOfMemory(root, OutOfMemory(root, 0).concurrency)
    assert backend.study() == {}


def test_a_model_may_take_half_an_hour_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    client, asked = TritonClient(Address("127.0.0.1:9"), 1.0), []
    monkeypatch.setattr(client._client, "load_model", lambda name, client_timeout: asked.append(client_timeout))
    client.load("lobes")
    assert asked == [1800]


def test_requests_are_ended_together() -> None:
    class Asked:
        ended = False

        def cancel(self) -> None:
            self.ended = True

    under_way, asked = UnderWay(), [Asked(), Asked(), Asked()]
    with under_way.begun(lambda: asked[0]):
        pass
    with under_way.begun(lambda: asked[1]):
        under_way.cancel()
    with pytest.raises(KeyboardInterrupt), under_way.begun(lambda: asked[2]):
        raise KeyboardInterrupt
    assert [one.ended for one in asked] == [False, True, True]


class Shares(InMessages):
    """In place of shared memory: says `why` it cannot, "" that it can."""

    def __init__(self, why: str = "", at_renewal: str = "") -> None:
        self.why, self.at_renewal, self.times = why, at_renewal, 0

    def infer(self, *_: Any) -> dict[str, Array]:
        self.times += 1
        if self.why:
            raise CannotShare(self.why)
        return {"through": np.array(["memory"])}

    def renew(self) -> None:
        if self.at_renewal:
            raise CannotShare(self.at_renewal)


class Sent(InMessages):
    def __init__(self) -> None: ...

    def infer(self, *_: Any) -> dict[str, Array]:
        return {"through": np.array(["messages"])}


def through(transport: Any) -> str:
    return str(transport.infer(SPEC, INPUTS, TERMS)["through"][0])


def test_where_memory_cannot_be_shared_messages_go_until_the_server_is_taken_up_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shares = Shares("full")
    transport = InSharedMemoryIfPossible(shares, Sent())  # type: ignore[arg-type]
    for _ in range(3):
        assert [through(transport) for _ in range(2)] == ["messages"] * 2
        transport.renew()
    assert shares.times == 3, "tried once after each renewal"
    assert caplog.text.count("without shared memory") == 1
    shares.why = ""
    assert through(transport) == "memory"
    shares.at_renewal = "unimplemented"
    transport.renew()
    assert through(transport) == "messages"


def test_a_server_without_shared_memory_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    client = TritonClient(Address("127.0.0.1:9"), 1.0)

    def asked(**_: Any) -> None:
        raise InferenceServerException("no such service", "StatusCode.UNIMPLEMENTED")

    monkeypatch.setattr(client._client, "get_system_shared_memory_status", asked)
    with pytest.raises(CannotShare, match="no such service"):
        client.shared()


def test_all_copies_of_a_back_end_go_the_same_way(root: Path) -> None:
    backend = TritonBackend(root, Address("127.0.0.1:9"))
    study = backend.at(Urgency.STAT)
    assert backend.shares_memory
    study._transport._do_without(CannotShare("full"))  # type: ignore[attr-defined]
    assert not backend.shares_memory
