"""A Triton backend in Python that bears the name of NVIDIA's own, `onnxruntime`, and serves the same files as it does.

Triton copies nothing of Thoracle: this file stands alone in the server's folder of backends and is run by the python
backend's stub. It honours of `config.pbtxt` what renders there: tensors, `max_batch_size` and the parameters
`intra_op_thread_count` and `inter_op_thread_count`.

The stub was made for numpy 1 and hands over wrong numbers to numpy 2, silently. DLPack is right both ways, and each
start tries it.
"""

import ctypes
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

_PROVIDER = "CPUExecutionProvider"

_rename = ctypes.pythonapi.PyCapsule_SetName
_rename.argtypes, _rename.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_int
_USED = b"used_dltensor"  # a capsule keeps the pointer to its name


class TritonPythonModel:
    """One instance of one model; Triton calls the methods."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the version that Triton names; what is raised here keeps it from being served."""
        _try_dlpack()
        config = json.loads(args["model_config"])
        file = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"]) / args["model_version"] / file
        options = ort.SessionOptions()
        options.intra_op_num_threads = _threads(config, "intra_op_thread_count")
        options.inter_op_num_threads = _threads(config, "inter_op_thread_count")
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.use_deterministic_compute = True
        self._session = ort.InferenceSession(str(path), options, providers=[_PROVIDER])
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request by itself, so that none changes another's numbers."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        if request.is_cancelled():
            return _refusal("the request was cancelled", pb_utils.TritonError.CANCELLED)
        try:
            taken = {n: np.from_dlpack(pb_utils.get_input_tensor_by_name(request, n)) for n in self._inputs}
            given = self._session.run(self._outputs, taken)
        except Exception as error:  # ONNX Runtime's errors have no base of their own
            return _refusal(f"onnxruntime: {error}", pb_utils.TritonError.INTERNAL)
        tensors = [_tensor(name, array) for name, array in zip(self._outputs, given, strict=True)]
        return pb_utils.InferenceResponse(tensors)


def _threads(config: Mapping[str, Any], name: str) -> int:
    return int(config.get("parameters", {}).get(name, {}).get("string_value", "1"))


def _refusal(why: str, code: Any) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(why, code))


def _tensor(name: str, array: np.ndarray[Any, Any]) -> Any:
    capsule = array.__dlpack__()
    tensor = pb_utils.Tensor.from_dlpack(name, capsule)
    _rename(capsule, _USED)  # the stub calls it "used_dlpack", and numpy's destructor would free what is in use
    return tensor


def _try_dlpack() -> None:
    numbers = np.arange(-300, 300, dtype=np.int16).reshape(2, 3, 100)
    if not np.array_equal(np.from_dlpack(_tensor("trial", numbers)), numbers):
        raise RuntimeError("this Python's numpy and Triton's stub hand each other wrong numbers")
