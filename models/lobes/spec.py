"""Inputs and outputs of the lobe model, and what was measured on it."""

from service.domain.anatomy import Lobe
from service.domain.model_spec import ModelSpec, TensorSpec

SIZE = 64
_BOX = (SIZE, SIZE, SIZE)
_AXES = ("slice to F", "row to P", "column to L")

FISSURE_DISTANCE_MM = 4.5
"""Mean distance of the found borders from drawn fissures, as CARD.md has it; a test compares the two."""

SPEC = ModelSpec(
    name="lobes",
    version="1",
    inputs=(TensorSpec("lungs", "uint8", (2, *_BOX), ("right, left", *_AXES)),),
    outputs=(TensorSpec("probability", "uint8", (len(Lobe), *_BOX), (", ".join(lobe.name for lobe in Lobe), *_AXES)),),
    max_batch=1,
    licence="Chest Imaging Platform licence (data of the fissure points), see CARD.md",
    measured={"fissure_distance_mm": FISSURE_DISTANCE_MM},
)
"""The input is each lung (255 inside) in its own bounding box; the grid is relative, so it has no spacing."""
