"""Where to compute."""

import os

import torch


def use(name: str) -> torch.device:
    """ "cpu", "cuda", or "auto" for a GPU where there is one.

    From now on torch only computes what it can repeat; on a GPU it warns where it cannot (3D pooling, for instance).
    SystemExit if a GPU is asked for and torch sees none.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats its results only with a fixed one
    found = torch.cuda.is_available()
    torch.use_deterministic_algorithms(True, warn_only=found and name != "cpu")
    if name == "cuda" and not found:
        raise SystemExit(f"torch {torch.__version__} sees no GPU; see docs/how-to/train-a-model.md")
    return torch.device("cuda" if found and name != "cpu" else "cpu")
