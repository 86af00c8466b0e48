"""ONNX Runtime's providers: the one that was asked for runs, or nothing does. No GPU takes part here."""

from pathlib import Path
from typing import Any

import onnxruntime as ort
import pytest
from helpers import tiny_models

from service.domain.analysis import ModelUse
from service.errors import Permanent
from service.inference import providers
from service.inference.files import MODEL_FILE
from service.inference.onnx import OnnxBackend, load_model
from service.inference.providers import Runs
from service.settings import default_repository

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"

REAL = ort.InferenceSession


@pytest.fixture
def model() -> bytes:
    return (default_repository() / "lobes/1" / MODEL_FILE).read_bytes()


class StubSession:
    """Takes what an ONNX Runtime with a GPU would; `runs_on` is what it ends on."""

    asked: list[Any]
    runs_on: list[str]

    def __init__(self, content: bytes, options: Any, providers: list[Any], enable_fallback: int) -> None:
        type(self).asked = providers
        assert enable_fallback == 0, "never another provider unsaid"
        self._real = REAL(content, options, providers=[CPU])

    def get_providers(self) -> list[str]:
        return self.runs_on

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def with_gpu(monkeypatch: pytest.MonkeyPatch, runs_on: list[str]) -> type[StubSession]:
    monkeypatch.setattr(providers.ort, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    monkeypatch.setattr(providers.ort, "InferenceSession", StubSession)
    monkeypatch.setattr(providers.ort, "preload_dlls", lambda: None)
    StubSession.runs_on = runs_on
    return StubSession


def test_a_provider_that_is_not_installed_is_refused_with_what_to_do(model: bytes) -> None:
    assert CUDA not in ort.get_available_providers()
    with pytest.raises(Permanent, match=r"inference\.provider is cuda.*has only.*use-a-gpu"):
        load_model(model, "lobes", Runs("cuda"))


def test_a_provider_that_falls_back_to_the_cpu_is_refused(monkeypatch: pytest.MonkeyPatch, model: bytes) -> None:
    with_gpu(monkeypatch, [CPU])
    with pytest.raises(Permanent, match=f"would run on {CPU}, not on {CUDA}"):
        load_model(model, "lobes", Runs("cuda"))


def test_cuda_computes_as_triton_does_on_a_gpu(monkeypatch: pytest.MonkeyPatch, model: bytes) -> None:
    stub = with_gpu(monkeypatch, [CUDA, CPU])
    loaded = load_model(model, "lobes", Runs("cuda"))
    assert stub.asked == [(CUDA, {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}), CPU]
    assert loaded.spec.runs_on == "cuda"
    assert ModelUse.of(loaded.spec).runs_on == "cuda"
    assert "runs_on" not in loaded.spec.to_json()


def test_every_model_file_has_a_folder_of_engines_of_its_own(
    monkeypatch: pytest.MonkeyPatch, model: bytes, tmp_path: Path
) -> None:
    stub = with_gpu(monkeypatch, [TENSORRT, CUDA, CPU])
    loaded = load_model(model, "lobes", Runs("tensorrt", tmp_path / "engines"))
    (name, options), *others = stub.asked
    folder = tmp_path / "engines" / f"lobes-{loaded.spec.sha256[:12]}"
    assert (name, options["trt_engine_cache_path"]) == (TENSORRT, str(folder)) and folder.is_dir()
    assert [one[0] if isinstance(one, tuple) else one for one in others] == [CUDA, CPU]
    load_model(model, "lobes", Runs("tensorrt"))
    assert "trt_engine_cache_enable" not in stub.asked[0][1], "without a folder none is kept"


def test_the_cpu_is_the_default_and_results_do_not_mention_it(tmp_path: Path) -> None:
    backend = OnnxBackend(tiny_models.repository(tmp_path / "models"))
    assert {spec.runs_on for spec in backend.specs} == {""}
