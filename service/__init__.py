"""Thoracle: clinical inference for chest CT. Research use only. Not for diagnostic use."""

import os
from importlib.metadata import version

__version__ = version("thoracle")

# The results must not depend on the number of cores: with more threads BLAS adds up in another order. Asked at numpy's
# import. Inference and resampling have threads of their own.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

# ONNX Runtime from 1.29 on reports its use to Microsoft, names of models and the host's hardware among it, and keeps a
# device ID in the home folder. It asks this variable when it is loaded, so it stands before every import of it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
