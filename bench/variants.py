"""The ways to run the lung and opacity network that are compared, each an ONNX Runtime session on two threads.

`python -m bench.variants NAME MODEL` runs one batch: a process of its own, whose memory can be measured.
"""

import json
import sys
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime as ort

THREADS = 2
BATCH = 8
SERVICE = "CPU, fp32"
"""What the service does; the others are compared with it."""

_PLUGIN = "onnxruntime_ep_openvino"
_OPENVINO = "OpenVINOExecutionProvider"
# Its default is bf16 where the processor has it; outside `load_config` this option would only cause a warning.
_EXACT = {"INFERENCE_PRECISION_HINT": "f32"}

Openvino = Mapping[str, str] | None
"""Its options; None: ONNX Runtime's own CPU provider."""

VARIANTS: dict[str, tuple[bool, Openvino]] = {
    SERVICE: (False, None),
    "OpenVINO, fp32": (False, _EXACT),
    "OpenVINO, its defaults": (False, {}),
    "CPU, int8": (True, None),
    "OpenVINO, int8": (True, _EXACT),
}
"""By name: whether the model is the quantised one, and who computes it."""


def why_absent(name: str) -> str | None:
    """Returns in words why this machine cannot run the variant; None if it can.

    OpenVINO's plugin is an extra, and where it is installed it offers a CPU device on some processors only.
    """
    if VARIANTS[name][1] is None:
        return None
    if find_spec(_PLUGIN) is None:
        return "OpenVINO's plugin is not installed: pip install -e '.[bench]'"
    if _cpu_of_openvino() is None:
        return "OpenVINO's plugin is installed, but offers no CPU device on this processor"
    return None


def session(name: str, model: Path) -> ort.InferenceSession:
    """RuntimeError where the provider has no device here, or ONNX Runtime would fall back to another one."""
    options = ort.SessionOptions()
    openvino = VARIANTS[name][1]
    if openvino is None:
        options.intra_op_num_threads = THREADS
        return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    config = {"CPU": {"INFERENCE_NUM_THREADS": str(THREADS), "NUM_STREAMS": "1", **openvino}}
    if (device := _cpu_of_openvino()) is None:
        raise RuntimeError(f"{name} cannot run here: {why_absent(name)}")
    options.add_provider_for_devices([device], {"load_config": json.dumps(config)})
    opened = ort.InferenceSession(str(model), options)
    if opened.get_providers()[0] != _OPENVINO:
        raise RuntimeError(f"{name} would run on {opened.get_providers()}")
    return opened


@cache
def _register_openvino() -> None:
    """Registers the plugin once for each process: a second time is an error, also where it offers no device."""
    import onnxruntime_ep_openvino as plugin

    ort.register_execution_provider_library("openvino", plugin.get_library_path())


def _cpu_of_openvino() -> "ort.OrtEpDevice | None":
    """Returns the device that stands for the processor; None where the plugin does not support the processor."""
    _register_openvino()
    devices = [device for device in ort.get_ep_devices() if device.ep_name == _OPENVINO]
    return next((device for device in devices if device.ep_metadata.get("ov_device") == "CPU"), None)


def main(name: str, model: Path) -> None:
    opened = session(name, model)
    (taken,) = opened.get_inputs()
    opened.run(None, {taken.name: np.full((BATCH, *taken.shape[1:]), -800, np.int16)})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
