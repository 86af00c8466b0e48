"""The small models of the tests, as a back end."""

import pytest
from helpers import tiny_models

from service.domain.ports import Backend
from service.inference.onnx import OnnxBackend


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    root = tiny_models.repository(tmp_path_factory.mktemp("models") / "own")
    tiny_models.serve(root, tiny_models.lobes(), tiny_models.LOBES)
    return OnnxBackend(root, 1)
