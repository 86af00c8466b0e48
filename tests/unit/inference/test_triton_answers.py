"""What Triton answers is judged before it is believed: its shape, its errors, and a model that sings wrong."""

from pathlib import Path
from typing import Any

import grpc as plain_grpc
import numpy as np
import pytest
import tiny_models
import tritonclient.grpc as grpc
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from service.domain.ports import Array
from service.errors import Permanent, Transient
from service.inference import repository, triton_batch
from service.inference.canary import Canary
from service.inference.shared_memory import Region
from service.inference.triton import TritonBackend
from service.inference.triton_batch import InMessages, InSharedMemory
from service.inference.triton_client import Address, Broken, Terms, TritonClient, Unreachable, Wrong
from service.settings import default_repository

SPEC = tiny_models.numbered(tiny_models.LUNGS, 1)
SHAPE = [2, 1, tiny_models.SIZE, tiny_models.SIZE]
INPUTS: dict[str, Array] = {"hu": np.zeros(SHAPE, np.int16)}
TERMS = Terms(0.0, 1)


class Answers:
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
    assert transport(Answers("UINT8", SHAPE)).infer(SPEC, INPUTS, TERMS)["probability"].shape == tuple(SHAPE)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (Answers("UINT8", [1, *SHAPE[1:]]), r"UINT8 of shape \[1, 1, 128, 128\], not UINT8 of \[2, 1"),
        (Answers("BOOL", SHAPE), "BOOL of shape"),
        (Answers("UINT8", SHAPE, "other"), "probability is nothing"),
    ],
    ids=["shorter", "type", "missing"],
)
def test_another_answer_than_asked_is_not_taken(transport: Any, answers: Answers, said: str) -> None:
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
    """Its model answers the canary as `sings` says, a word for each time; "right" when there are no more."""

    def __init__(self, root: Path, sings: list[str], versions: dict[str, str] | None = None) -> None:
        super().__init__(root, Address("127.0.0.1:9"), versions=versions)
        self.sings, self.reloaded = sings, 0
        self._client.reload = self._count  # type: ignore[method-assign]

    def _count(self, name: str) -> None:
        self.reloaded += 1

    def _sing(self, known: Canary) -> None:
        match self.sings.pop(0) if self.sings else "right":
            case "broken":
                raise Broken("no memory")
            case "wrong":
                raise Wrong("all black")

    def ask(self) -> None:
        self._check(Canary(self.spec("lobes"), {}, {}))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "models"
    repository.create(folder, default_repository())
    tiny_models.serve(folder, tiny_models.lobes(), tiny_models.LOBES)
    return folder


@pytest.mark.parametrize(("sings", "reloaded"), [([], 0), (["broken"], 0), (["broken"] * 2, 1), (["wrong"] * 2, 1)])
def test_a_model_is_loaded_anew_only_when_it_fails_twice(root: Path, sings: list[str], reloaded: int) -> None:
    backend = Loaded(root, sings)
    backend.ask()
    assert backend.reloaded == reloaded


def test_for_wrong_answers_a_model_is_loaded_anew_once_until_they_are_right(root: Path) -> None:
    backend = Loaded(root, ["wrong"] * 5)
    for _ in range(2):
        with pytest.raises(Wrong, match="all black"):
            backend.ask()
    assert backend.reloaded == 1
    backend.ask()
    backend.sings = ["wrong"] * 2
    backend.ask()
    assert backend.reloaded == 2


@pytest.mark.parametrize("sings", ["broken", "wrong"])
def test_for_a_version_on_trial_nothing_is_loaded_anew(root: Path, sings: str) -> None:
    backend = Loaded(root, [sings] * 3, {"lobes": "1"})
    with pytest.raises(Broken):
        backend.ask()
    assert backend.reloaded == 0
