"""What ONNX Runtime computes on in this process: the one provider that was asked for, and never another unsaid.

ONNX Runtime by itself goes on with the CPU where a provider is missing or fails, and only prints so.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from service.domain.model_spec import ModelSpec
from service.errors import Permanent

Provider = Literal["cpu", "cuda", "tensorrt"]

ORT_ERRORS: tuple[type[Exception], ...] = tuple(
    one for one in vars(runtime).values() if isinstance(one, type) and issubclass(one, Exception)
)
"""One class for each kind of failure, without a common base."""

_WHILE_LOADING: tuple[type[Exception], ...] = (*ORT_ERRORS, RuntimeError, ValueError)
"""A provider's libraries raise the latter two."""

_CPU = "CPUExecutionProvider"
_NAMES: dict[Provider, str] = {"cpu": _CPU, "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}

_CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
"""As Triton's `gpu` configuration (docs/decisions/0094): fp32 as it is called, no convolution chosen by its speed."""

_WORKSPACE_BYTES = str(2 * 2**30)


@dataclass(frozen=True, slots=True)
class Runs:
    """engines: folder of TensorRT's engines, one below it for each model file; None: none is kept."""

    provider: Provider = "cpu"
    engines: Path | None = None

    @property
    def named(self) -> str:
        """What results say of it; "" for the CPU, which they do not mention."""
        return "" if self.provider == "cpu" else self.provider

    def session(self, content: bytes, spec: ModelSpec, key: str) -> ort.InferenceSession:
        """A model ready to run. key: its name in messages.

        Permanent where the provider is not installed, does not start, or the file is no model.
        """
        wanted = _NAMES[self.provider]
        if wanted not in ort.get_available_providers():
            raise Permanent(
                f"inference.provider is {self.provider}, but the installed ONNX Runtime has only "
                f"{', '.join(ort.get_available_providers())}. {_HOW_TO}"
            )
        if self.provider != "cpu":
            ort.preload_dlls()  # of CUDA and cuDNN, where they came as packages
        try:
            session = ort.InferenceSession(content, _options(), providers=self._providers(spec), enable_fallback=0)
        except _WHILE_LOADING as exc:
            raise Permanent(f"Model file {key} cannot be loaded: {exc}") from exc
        if (first := session.get_providers()[0]) != wanted:
            raise Permanent(
                f"Model {key} would run on {first}, not on {wanted}: ONNX Runtime could not start it and says why on "
                f"standard error. {_HOW_TO}"
            )
        return session

    def _providers(self, spec: ModelSpec) -> list[str | tuple[str, dict[str, Any]]]:
        """In the order in which a node is offered to them; what is left to the CPU are shapes and sizes."""
        cuda = (_NAMES["cuda"], _CUDA_OPTIONS)
        if self.provider == "cpu":
            return [_CPU]
        return [cuda, _CPU] if self.provider == "cuda" else [(_NAMES["tensorrt"], self._tensorrt(spec)), cuda, _CPU]

    def _tensorrt(self, spec: ModelSpec) -> dict[str, Any]:
        """FP16 engines for every batch that a pipeline sends, so that none is built again during an analysis.

        ONNX Runtime names a kept one after the tensors, not the weights: each file has a folder.
        """
        options: dict[str, Any] = {"trt_fp16_enable": "1", "trt_max_workspace_size": _WORKSPACE_BYTES}
        for which, batch in (("min", 1), ("opt", spec.call_batch), ("max", spec.call_batch)):
            shapes = (f"{one.name}:{'x'.join(map(str, (batch, *one.dims)))}" for one in spec.inputs)
            options[f"trt_profile_{which}_shapes"] = ",".join(shapes)
        if self.engines is None:
            return options
        folder = self.engines / f"{spec.name}-{spec.sha256[:12]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise Permanent(f"The folder of engines, inference.engines, cannot be written: {exc}") from exc
        return options | {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)}


_HOW_TO = "See docs/how-to/use-a-gpu.md, or set inference.provider to cpu."


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.enable_mem_pattern = False  # as fast without, in a third less memory (docs/decisions/0162)
    return options
