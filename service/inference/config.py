"""Triton's configurations of a model, rendered from its spec: complete, so that nothing is guessed when it is served.

    <name>/config.pbtxt              on the CPU
    <name>/configs/gpu.pbtxt         ONNX Runtime on CUDA in fp32:     tritonserver --model-config-name=gpu
    <name>/configs/tensorrt.pbtxt    the same through TensorRT, FP16:  tritonserver --model-config-name=tensorrt

Fields: triton-inference-server/common, protobuf/model_config.proto. Why these values: docs/decisions/0094.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from service.domain.model_spec import ModelSpec, TensorSpec
from service.domain.priority import Urgency
from service.inference.tensors import TRITON_TYPES

Variant = Literal["cpu", "gpu", "tensorrt"]

CONFIG = "config.pbtxt"

FILES: Mapping[Variant, str] = {"cpu": CONFIG, "gpu": "configs/gpu.pbtxt", "tensorrt": "configs/tensorrt.pbtxt"}
"""By variant, in the model's folder. Triton takes `CONFIG` where it finds none of the name that it was given."""

ENGINE_CACHE = "/var/cache/trt"
"""In Triton's container: a volume that outlives it."""

CPU_INSTANCES = 2
"""Calls at once, of one thread each, as the back end in the worker's process has them."""

PRIORITY_LEVELS = len(Urgency)
"""1 goes first and is for STAT; the last is routine, and what a request without a priority gets."""

MAX_QUEUE = 128
"""Requests that wait for one model; one more is refused, and its client tries again."""

QUEUE_TIMEOUT_S = 300
"""A request that waited longer is refused. It may ask for less, never for more."""

_WORKSPACE_BYTES = 2 * 2**30

_HEADER = "# Generated from the spec inside the model file. Do not edit.\n"


def priority_level(urgency: Urgency) -> int:
    """What a request says, 1 to `PRIORITY_LEVELS`; 1 goes first."""
    return PRIORITY_LEVELS - list(Urgency).index(urgency)


def render_configs(spec: ModelSpec, versions: Sequence[str] = ()) -> dict[str, str]:
    """Every configuration of a model by its path in the model's folder; arguments as of `render_config`."""
    return {path: render_config(spec, versions, variant) for variant, path in FILES.items()}


def render_config(spec: ModelSpec, versions: Sequence[str] = (), variant: Variant = "cpu") -> str:
    """One configuration.

    spec: of the active version, with its digest. versions: served side by side, all with the tensors of `spec`; none:
    that of the spec.
    """
    served = list(versions or [spec.version])
    config: dict[str, Any] = {
        "name": spec.name,
        "backend": "onnxruntime",
        "max_batch_size": spec.max_batch,
        "input": [_tensor(tensor) for tensor in spec.inputs],
        "output": [_tensor(tensor) for tensor in spec.outputs],
        "version_policy": {"specific": {"versions": [int(version) for version in served]}},
        "instance_group": [_instances(variant)],
        "dynamic_batching": _batching(spec, variant),
        "parameters": {f"{which}_op_thread_count": {"string_value": "1"} for which in ("intra", "inter")},
    }
    if variant != "cpu":
        accelerators = [_tensorrt(spec, served)] if variant == "tensorrt" else []
        config["optimization"] = {"execution_accelerators": {"gpu_execution_accelerator": [*accelerators, _cuda()]}}
        config["model_warmup"] = [_warm_up(spec, batch) for batch in _batches(spec)]
    # Only here: Triton's client takes half a second to import.
    from google.protobuf import json_format, text_format
    from tritonclient.grpc import model_config_pb2

    text: str = text_format.MessageToString(json_format.ParseDict(config, model_config_pb2.ModelConfig()))
    return _HEADER + text


def _tensor(tensor: TensorSpec) -> dict[str, Any]:
    return {"name": tensor.name, "data_type": f"TYPE_{TRITON_TYPES[tensor.dtype]}", "dims": list(tensor.dims)}


def _instances(variant: Variant) -> dict[str, Any]:
    if variant == "cpu":
        return {"kind": "KIND_CPU", "count": CPU_INSTANCES}
    return {"kind": "KIND_GPU", "count": 1}


def _batching(spec: ModelSpec, variant: Variant) -> dict[str, Any]:
    """On the CPU no larger batches than calls: they would leave a core without work. A GPU takes all it can get."""
    return {
        "preferred_batch_size": [spec.call_batch if variant == "cpu" else spec.max_batch],
        "priority_levels": PRIORITY_LEVELS,
        "default_priority_level": priority_level(Urgency.ROUTINE),
        "default_queue_policy": {
            "timeout_action": "REJECT",
            "default_timeout_microseconds": QUEUE_TIMEOUT_S * 1_000_000,
            "allow_timeout_override": True,
            "max_queue_size": MAX_QUEUE,
        },
    }


def _cuda() -> dict[str, Any]:
    """fp32 as it is called, and no convolution chosen by how fast it happened to be: reruns must agree."""
    return {"name": "cuda", "parameters": {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}}


def _tensorrt(spec: ModelSpec, served: Sequence[str]) -> dict[str, Any]:
    """FP16 engines, built by the warm-up.

    ONNX Runtime names a cached engine after the model's file and tensors, not its weights: the cache has a folder for
    each file, and there is none where two versions share a configuration.
    """
    cache = {"trt_engine_cache_path": f"{ENGINE_CACHE}/{spec.name}-{spec.sha256[:12]}"} if len(served) == 1 else {}
    return {
        "name": "tensorrt",
        "parameters": {
            "precision_mode": "FP16",
            "max_workspace_size_bytes": str(_WORKSPACE_BYTES),
            "trt_engine_cache_enable": "1" if cache else "0",
            **cache,
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": ENGINE_CACHE,
        },
    }


def _batches(spec: ModelSpec) -> list[int]:
    """Batch sizes of the warm-up. The least and the largest make TensorRT's engine hold for all between them."""
    return sorted({1, spec.call_batch, spec.max_batch})


def _warm_up(spec: ModelSpec, batch: int) -> dict[str, Any]:
    def image(tensor: TensorSpec) -> dict[str, Any]:
        return {"data_type": f"TYPE_{TRITON_TYPES[tensor.dtype]}", "dims": list(tensor.dims), "random_data": True}

    return {
        "name": f"batch of {batch}",
        "batch_size": batch,
        "inputs": {tensor.name: image(tensor) for tensor in spec.inputs},
    }
