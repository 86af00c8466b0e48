"""Nothing of a hospital's inference is reported to the maker of the runtime."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "triton_repo" / "lobes" / "1" / "model.onnx"


def test_onnx_runtime_keeps_no_device_id_and_reports_nothing(tmp_path: Path) -> None:
    """Where it reports, it leaves a device ID and a queue of events in the home folder."""
    quiet = ("CI", "ORT_RUNNING_UNIT_TESTS", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    code = f"from service.inference.onnx import OnnxBackend, ort; ort.InferenceSession({str(MODEL)!r})"
    home = {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment | home, check=True)
    assert list(tmp_path.rglob("*")) == []
