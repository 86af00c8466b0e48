"""The in-process back end refuses, in words, every repository that is not what it says."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from service.domain.model_spec import METADATA_KEY, ModelSpec, TensorSpec
from service.domain.ports import Array
from service.domain.priority import Urgency
from service.errors import Permanent, Transient
from service.inference.files import read_digests
from service.inference.onnx import Model, OnnxBackend
from service.settings import default_repository

SPEC = ModelSpec(
    name="double",
    version="2",
    inputs=(TensorSpec("x", "int16", (3,), ("number",)),),
    outputs=(TensorSpec("y", "int16", (3,), ("number",)),),
    max_batch=4,
)


def model(spec: ModelSpec | None = SPEC, dims: int = 3) -> bytes:
    """A graph that adds its input to itself."""
    tensors = [helper.make_tensor_value_info(name, TensorProto.INT16, ["batch", dims]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", tensors[:1], tensors[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if spec is not None:
        helper.set_model_props(made, {METADATA_KEY: spec.to_json()})
    return bytes(made.SerializeToString())


def write(root: Path, content: bytes, key: str = "double/2/model.onnx", digest: str | None = None) -> Path:
    """Put a model and its digest into a repository."""
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    with (root / "SHA256SUMS").open("a") as file:
        file.write(f"{digest or hashlib.sha256(content).hexdigest()}  {key}\n")
    return root


def test_it_infers_and_knows_its_models(tmp_path: Path) -> None:
    backend = OnnxBackend(write(tmp_path, model()))
    batch = np.array([[1, 2, 3], [4, 5, 6]], np.int16)
    assert np.array_equal(backend.infer("double", {"x": batch})["y"], 2 * batch)
    assert np.array_equal(backend.infer("double", {"x": batch[:, ::-1]})["y"], 2 * batch[:, ::-1])
    digest = hashlib.sha256((tmp_path / "double/2/model.onnx").read_bytes()).hexdigest()
    assert backend.spec("double") == replace(SPEC, sha256=digest)
    assert backend.specs == (backend.spec("double"),)


def checkable(root: Path) -> Path:
    """A repository whose model can be shown a drawn image."""
    tensors = [TensorSpec(name, "int16", (1, 8, 8), ("channel", "row", "column")) for name in "xy"]
    spec = replace(SPEC, inputs=(tensors[0],), outputs=(tensors[1],), layout="body-crop")
    infos = [helper.make_tensor_value_info(name, TensorProto.INT16, ["batch", 1, 8, 8]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", infos[:1], infos[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(made, {METADATA_KEY: spec.to_json()})
    return write(root, bytes(made.SerializeToString()))


def _fails(*_: object) -> dict[str, Array]:
    raise Permanent("Model double failed: out of memory")


_right = Model.infer


def _changed(*asked: Any) -> dict[str, Array]:
    return {name: y + 1 for name, y in _right(*asked).items()}


@pytest.mark.parametrize(("wrong", "said"), [(_changed, "double no longer answers"), (_fails, "out of memory")])
def test_a_model_that_fails_its_check_answers_nothing_until_it_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Callable[..., Any], said: str
) -> None:
    backend = OnnxBackend(checkable(tmp_path))
    batch = {"x": np.ones((1, 1, 8, 8), np.int16)}
    backend.check()
    with monkeypatch.context() as patch:
        patch.setattr(Model, "infer", wrong)
        with pytest.raises(Transient, match=said):
            backend.check()
        beside = OnnxBackend(tmp_path, beside=[backend])
        with pytest.raises(Transient, match=said):
            beside.check()
    for same in (backend, backend.at(Urgency.STAT), beside):
        with pytest.raises(Transient, match=said):
            same.infer("double", batch)
    backend.check()
    assert backend.infer("double", batch)["y"].max() == 2


def test_the_highest_version_is_active(tmp_path: Path) -> None:
    write(tmp_path, model())
    write(tmp_path, model(replace(SPEC, version="10")), "double/10/model.onnx")
    assert OnnxBackend(tmp_path).spec("double").version == "10"


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda root: (root / "SHA256SUMS").touch(), "no model"),
    "no digests": (lambda root: write(root, model()) and (root / "SHA256SUMS").unlink(), "cannot be read"),
    "not listed": (lambda root: write(root, model()) and (root / "SHA256SUMS").write_text(""), "not listed"),
    "altered": (lambda root: write(root, model(), digest="0" * 64), "was altered"),
    "no version": (lambda root: write(root, model()) and shutil.rmtree(root / "double/2"), "no version"),
    "no file": (lambda root: write(root, model()) and (root / "double/2/model.onnx").unlink(), "cannot be read"),
    "no model": (lambda root: write(root, b"\x00not onnx"), "no ONNX file"),
    "no spec": (lambda root: write(root, model(spec=None)), "There is no spec in"),
    "other version": (lambda root: write(root, model(), "double/3/model.onnx"), "says it is double version 2"),
    "other tensors": (lambda root: write(root, model(dims=5)), "has tensors"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_repository_is_refused_in_words(tmp_path: Path, name: str) -> None:
    spoil, sentence = SPOILT[name]
    spoil(tmp_path)
    with pytest.raises(Permanent, match=sentence):
        OnnxBackend(tmp_path)


def test_what_the_runtime_cannot_compute_is_refused_in_words(tmp_path: Path) -> None:
    """Relu of INT16: the standard has it, ONNX Runtime does not."""
    made = onnx.load_from_string(model())
    made.graph.node[0].CopyFrom(helper.make_node("Relu", ["x"], ["y"]))
    onnx.checker.check_model(made)
    with pytest.raises(Permanent, match=r"cannot be loaded: .*NOT_IMPLEMENTED"):
        OnnxBackend(write(tmp_path, made.SerializeToString()))


def test_an_unreadable_spec_is_refused(tmp_path: Path) -> None:
    made = onnx.load_from_string(model())
    helper.set_model_props(made, {METADATA_KEY: '{"name": "double"}'})
    with pytest.raises(Permanent, match="cannot be read"):
        OnnxBackend(write(tmp_path, made.SerializeToString()))


def test_a_session_on_another_provider_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort.InferenceSession, "get_providers", lambda self: ["CUDAExecutionProvider"])
    with pytest.raises(Permanent, match="not on CPUExecutionProvider"):
        OnnxBackend(write(tmp_path, model()))


@pytest.mark.parametrize(
    "inputs",
    [
        {"z": np.zeros((1, 3), np.int16)},
        {"x": np.zeros((1, 3), np.int32)},
        {"x": np.zeros((1, 4), np.int16)},
        {"x": np.zeros((5, 3), np.int16)},
        {"x": np.zeros((0, 3), np.int16)},
        {"x": np.int16(0)},
    ],
    ids=["name", "dtype", "shape", "large batch", "empty batch", "scalar"],
)
def test_wrong_inputs_are_refused(tmp_path: Path, inputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(Permanent, match="takes"):
        OnnxBackend(write(tmp_path, model())).infer("double", inputs)


def test_an_unknown_model_is_named_with_those_installed(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="triple is not installed; installed are double"):
        OnnxBackend(write(tmp_path, model())).infer("triple", {})


def test_digests_as_sha256sum_writes_them(tmp_path: Path) -> None:
    (tmp_path / "SHA256SUMS").write_text("ab  a/1/model.onnx\ncd  b/2/model.onnx\n")
    assert read_digests(tmp_path) == {"a/1/model.onnx": "ab", "b/2/model.onnx": "cd"}


@pytest.mark.parametrize(
    ("watched", "expected"),
    [
        (None, {"lung-opacity", "lung-shape", "lobes", "opacity-context", "triage-lesion", "lung-tumour"}),
        (["lobes"], {"lobes"}),
    ],
)
def test_only_watched_models_are_asked_for_a_known_answer(
    monkeypatch: pytest.MonkeyPatch, watched: list[str] | None, expected: set[str]
) -> None:
    backend, asked = OnnxBackend(default_repository(), watched=watched), list[str]()
    real = Model.infer

    def infer(model: Model, inputs: Mapping[str, Array]) -> dict[str, Array]:
        asked.append(model.spec.name)
        return real(model, inputs)

    monkeypatch.setattr(Model, "infer", infer)
    backend.check()
    assert set(asked) == expected
