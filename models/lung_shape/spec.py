"""What the network of the lungs' shape eats and gives."""

from models.lobes.spec import SIZE
from service.domain.model_spec import ModelSpec, TensorSpec

_BOX = (SIZE, SIZE, SIZE)
_AXES = ("right, left", "slice to F", "row to P", "column to L")

SPEC = ModelSpec(
    name="lung-shape",
    version="1",
    inputs=(TensorSpec("lungs", "uint8", (2, *_BOX), _AXES),),
    outputs=(TensorSpec("probability", "uint8", (2, *_BOX), _AXES),),
    max_batch=1,
    thresholds={"right": 0.5, "left": 0.5},
    licence="research use only: trained on lobe masks under CC BY-NC-SA 4.0, see CARD.md",
    layout="lung-boxes",
)
"""The input is each lung (255 inside) in its own bounding box, the output the probability of lung there."""
