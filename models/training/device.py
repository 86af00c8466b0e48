"""Where to compute."""

import os

import torch


def use(name: str) -> torch.device:
    """ "cpu", "cuda", or "auto" for a GPU where there is one; from now on torch only computes what it can repeat.

    SystemExit if a GPU is asked for and torch sees none.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats its results only with a fixed one
    torch.use_deterministic_algorithms(True)
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise SystemExit(f"torch {torch.__version__} sees no GPU; see docs/how-to/train-a-model.md")
    return torch.device("cuda" if found and name != "cpu" else "cpu")
