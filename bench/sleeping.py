"""`python -m bench.sleeping PYTHON -m service ...`: the service, but its networks sleep before they answer.

A back end elsewhere (a GPU, Triton) looks like that from a worker: time passes, and no core is used.
"""

import sys
import time
from collections.abc import Mapping

from service.__main__ import main
from service.domain.ports import Array
from service.inference.onnx import OnnxBackend

SLICE_S = 0.1

_answered = OnnxBackend.infer


def infer(backend: OnnxBackend, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """As the back end answers, later: `SLICE_S` for each slice of the batch."""
    time.sleep(SLICE_S * len(next(iter(inputs.values()))))
    return _answered(backend, name, inputs)


if __name__ == "__main__":
    OnnxBackend.infer = infer  # type: ignore[method-assign, assignment]
    sys.argv = ["thoracle", *sys.argv[4:]]
    main()
