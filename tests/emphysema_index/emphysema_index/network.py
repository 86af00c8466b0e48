"""A model of its own: it says which voxels are emphysema. It takes two tensors of one axis, and gives two."""

import numpy as np
from numpy.typing import NDArray

from service.domain.model_roles import Role, Shape, Tensors
from service.domain.ports import Backend
from service.errors import Permanent

EMPHYSEMA_VOXELS = Role(
    "emphysema-voxels",
    "voxels that are emphysema, instead of a threshold",
    Tensors(
        inputs={"hu": Shape("float32", (None,)), "lung": Shape("bool", (None,))},
        outputs={"emphysema": Shape("bool", (None,)), "count": Shape("int64", (1,))},
    ),
)


def emphysema_voxels(hu: NDArray[np.float32], lung: NDArray[np.bool_], backend: Backend) -> NDArray[np.bool_]:
    """Which voxels are emphysema; all arrays have the axes (slice, row, column).

    Permanent if the model's count is not that of its voxels.
    """
    spec = backend.spec(EMPHYSEMA_VOXELS.name)
    (length,) = spec.inputs[0].dims
    rows = -(-hu.size // length)
    flat = {name: np.zeros((rows, length), kind) for name, kind in (("hu", np.float32), ("lung", np.bool_))}
    for name, array in (("hu", hu), ("lung", lung)):
        flat[name].reshape(-1)[: hu.size] = array.reshape(-1)
    found = np.empty((rows, length), np.bool_)
    for row in range(0, rows, spec.max_batch):
        batch = slice(row, row + spec.max_batch)
        answer = backend.infer(spec.name, {name: array[batch] for name, array in flat.items()})
        found[batch] = answer["emphysema"]
        if not np.array_equal(answer["count"][:, 0], found[batch].sum(axis=1)):
            raise Permanent(f"Model {spec.name} counts other voxels than it marks.")
    return found.reshape(-1)[: hu.size].reshape(hu.shape)
