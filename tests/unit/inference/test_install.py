"""A model is described, fits and runs before anything is installed; numbers and origins are kept honest."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from helpers import tiny_models
from onnx import helper, numpy_helper

from service.errors import Permanent
from service.inference.files import read_digests
from service.inference.install import check_digest, describe, prepare
from service.inference.repository import embed
from service.pipelines import MODEL_ROLES

SHIPPED = Path(__file__).resolve().parents[3] / "triton_repo"
RELEASED = read_digests(SHIPPED).values()


def test_a_new_model_gets_the_next_number_and_is_tried() -> None:
    first = prepare(SHIPPED, tiny_models.lungs(), tiny_models.LUNGS, MODEL_ROLES)
    second = prepare(SHIPPED, tiny_models.lobes(), tiny_models.LOBES, MODEL_ROLES)
    assert (first.spec.version, second.spec.version) == ("1", "2")
    assert first.seconds > 0.0


@pytest.mark.parametrize(("inside", "gets"), [(1, "2"), (2, "2"), (9, "9")])
def test_a_higher_number_inside_the_file_is_kept_with_its_bytes(inside: int, gets: str) -> None:
    numbered = tiny_models.numbered(tiny_models.LOBES, inside)
    content = embed(tiny_models.lobes(), numbered)
    candidate = prepare(SHIPPED, content, numbered, MODEL_ROLES)
    assert candidate.spec.version == gets
    assert (candidate.content == content) == (str(inside) == gets)


def rewired(change: Callable[[onnx.GraphProto], None]) -> bytes:
    model = onnx.load_from_string(tiny_models.lungs())
    change(model.graph)
    return bytes(model.SerializeToString())


def _rename_input(graph: onnx.GraphProto) -> None:
    graph.node[0].input[0] = graph.input[0].name = "pixels"


def _mix_the_batch(graph: onnx.GraphProto) -> None:
    """The answer for an image is the mean of those for the whole batch, as of a network left in training."""
    graph.node[-1].output[0] = "alone"
    graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "first"))
    graph.node.append(helper.make_node("Cast", ["alone"], ["float"], to=onnx.TensorProto.FLOAT))
    graph.node.append(helper.make_node("ReduceMean", ["float", "first"], ["mean"], keepdims=1))
    graph.node.append(helper.make_node("Shape", ["alone"], ["shape"]))
    graph.node.append(helper.make_node("Expand", ["mean", "shape"], ["expanded"]))
    graph.node.append(helper.make_node("Cast", ["expanded"], ["probability"], to=onnx.TensorProto.UINT8))


def _fix_the_batch(graph: onnx.GraphProto) -> None:
    """Exported for one image only, as `torch.onnx.export` does without `dynamic_shapes`."""
    graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 128, 128], np.int64), "single"))
    graph.node[-1].output[0] = "free"
    graph.node.append(helper.make_node("Reshape", ["free", "single"], ["probability"]))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (b"\x00not onnx", "This is no ONNX file"),
        (tiny_models.lungs()[:-9], "This is no ONNX file"),
        (rewired(lambda graph: graph.node[1].input.append("nobody")), "cannot be loaded"),
        (tiny_models.lobes(), "has tensors"),
        (rewired(_rename_input), "has tensors"),
        (rewired(_mix_the_batch), "depends on the other images of the batch"),
        (rewired(_fix_the_batch), "failed"),
    ],
    ids=["bytes", "cut off", "broken", "other outputs", "other input", "mixed batch", "fixed batch"],
)
def test_a_broken_model_is_refused_in_words(model: bytes, said: str) -> None:
    with pytest.raises(Permanent, match=said):
        prepare(SHIPPED, model, tiny_models.LUNGS, MODEL_ROLES)


def test_a_spec_that_does_not_fit_is_refused_with_all_its_mistakes() -> None:
    spec = replace(tiny_models.LUNGS, window_hu=None, thresholds={})
    with pytest.raises(Permanent, match=r"window_hu: .*; thresholds: "):
        prepare(SHIPPED, tiny_models.lungs(), spec, MODEL_ROLES)


def test_a_digest_is_compared_if_one_is_expected(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"model")
    digest = hashlib.sha256(b"model").hexdigest()
    assert check_digest(path, None) == check_digest(path, f" {digest.upper()}\n") == digest
    with pytest.raises(Permanent, match=f"its SHA-256 is {digest}, not 0000"):
        check_digest(path, "0000")
    with pytest.raises(Permanent, match="cannot be read"):
        check_digest(tmp_path / "none", None)


def test_every_model_but_the_released_says_where_it_came_from(tmp_path: Path) -> None:
    released = SHIPPED / "lobes/1/model.onnx"
    assert describe(released, check_digest(released, None), None, RELEASED).source == ""
    changed = tmp_path / "changed.onnx"
    own = replace(tiny_models.numbered(tiny_models.LOBES, 3), source="")
    changed.write_bytes(embed(released.read_bytes(), own))
    assert describe(changed, "abc", None, RELEASED).source == "changed.onnx, SHA-256 abc"
    toml = tmp_path / "spec.toml"
    toml.write_text(tiny_models.toml(tiny_models.LOBES))
    assert describe(changed, "abc", toml, RELEASED).source == "tests; changed.onnx, SHA-256 abc"


def test_a_file_without_a_spec_has_to_be_described(tmp_path: Path) -> None:
    path = tmp_path / "plain.onnx"
    path.write_bytes(tiny_models.lungs())
    with pytest.raises(Permanent, match=r"no spec in .*plain\.onnx; describe it with --spec"):
        describe(path, "abc", None, RELEASED)
