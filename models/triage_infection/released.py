"""The experimental model file: beside its card, not in `triton_repo/`, so that nobody runs it without asking for it."""

from pathlib import Path

MODEL = Path(__file__).parent / "model.onnx"
