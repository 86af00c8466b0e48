"""Versions of a model come, are tried and go at a real Triton server that is never restarted."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_models, toy_pipeline
from helpers.triton_server import TritonServer

from service.domain.model_spec import ModelSpec
from service.domain.ports import Array, Backend
from service.domain.serving import canary, promote, rollback
from service.errors import ThoracleError
from service.inference.model_trial import listed_for_trial
from service.inference.onnx import OnnxBackend
from service.inference.repository import add, change, embed
from service.inference.triton import TritonBackend
from service.inference.triton_client import TritonClient
from service.rollout.assignment import Models

pytestmark = pytest.mark.peers


def noise_for(spec: ModelSpec) -> dict[str, Array]:
    """Noise of the shape that the model takes."""
    (tensor,) = spec.inputs
    shape, random = (1, *tensor.dims), np.random.default_rng(0)
    values = random.normal(-600, 300, shape) if tensor.dtype == "int16" else random.integers(0, 255, shape)
    return {tensor.name: values.astype(tensor.dtype)}


def several_tensors_of_any_type(root: Path, server: TritonServer) -> None:
    """FP32 and true or false go in, true or false and INT64 come out, inside the messages or through shared memory."""
    name, random = toy_pipeline.MODEL.name, np.random.default_rng(0)
    shape = 3, *toy_pipeline.MODEL.inputs[0].dims
    asked = {"hu": random.normal(-900, 60, shape).astype(np.float32), "lung": random.random(shape) < 0.5}
    alone = OnnxBackend(root, 1).infer(name, asked)
    assert 0 < alone["count"].sum() < asked["lung"].sum()
    for shared_memory in ("never", "always"):
        backend = TritonBackend(root, server.address, shared_memory=shared_memory)
        backend.check()
        said = backend.infer(name, asked)
        assert {tensor: array.dtype for tensor, array in said.items()} == {"emphysema": bool, "count": np.int64}
        assert all(np.array_equal(said[tensor], alone[tensor]) for tensor in alone)


@pytest.mark.timeout(900)
def test_versions_are_served_side_by_side_or_one_after_the_other(tmp_path: Path) -> None:
    root = tiny_models.repository(tmp_path / "models")
    tiny_models.serve(root, tiny_models.lobes(), tiny_models.LOBES)
    add(root, embed(toy_pipeline.network(), tiny_models.numbered(toy_pipeline.MODEL, 1)))
    change(root, toy_pipeline.MODEL.name, promote("1"))
    told: list[str] = []
    with TritonServer(tmp_path / "server", root) as server:

        def there(versions: Mapping[str, str], _beside: Backend | None) -> TritonBackend:
            return TritonBackend(root, server.address, versions=versions)

        models = Models(lambda: root, there, lambda versions, trouble: told.append(trouble))

        def answers(expected: str) -> None:
            backend = models.for_study("1.2.3").backend
            assert (backend.spec("lobes").version, models.trouble) == (expected, "")
            asked = noise_for(backend.spec("lobes"))
            (said,) = backend.infer("lobes", asked).values()
            (alone,) = OnnxBackend(root, 1, {"lobes": expected}).infer("lobes", asked).values()
            assert np.array_equal(said, alone)

        answers("2")
        several_tensors_of_any_type(root, server)
        add(root, embed(tiny_models.lobes(), tiny_models.numbered(tiny_models.LOBES, 3)))
        change(root, "lobes", canary("3", 1.0))
        answers("3")
        models.check()  # version 2 goes on beside it
        change(root, "lobes", promote())
        answers("3")
        change(root, "lobes", rollback)
        answers("2")
        change(root, "lobes", promote("1"))  # the shipped one takes other tensors
        answers("1")
        change(root, "lobes", rollback)
        answers("2")
        add(root, embed(b"", tiny_models.numbered(tiny_models.LOBES, 4)))
        TritonClient(server.address, 60).reload("lobes")
        models.check()  # what was only added harms nobody, though it does not load
        answers("2")
        beside = there({"lobes": "4"}, None)
        with listed_for_trial(root, "lobes", "4"), pytest.raises(ThoracleError):
            beside.check()
        answers("2")
    assert told == [""] * len(told)
