"""Role of this pipeline's model: it outlines lung tumours in axial slices. It is fed in one of two layouts.

slice-stacks: a slice is seen with the slices around it (`service.pipelines.shared.model_roles`).
paper-slices: one slice of 512 x 512 pixels of 1 mm, nearest neighbour of the CT's own, about the image's middle, as
Primakov 2022 has it; window and bins belong into the graph. In both there is air outside the lung field.
"""

from collections.abc import Iterator

from service.domain.model_roles import Role
from service.domain.model_spec import ModelSpec
from service.pipelines.shared.model_roles import ImageModel, StackModel

TUMOUR = "tumour"
"""The channel of the network that outlines tumours."""

LEAST_ML, LEAST_PEAK = "least_ml", "least_peak"
"""The detection rule in `ModelSpec.measured`: least volume in mL, and least peak probability of a tumour, 0 to 1, where
the threshold counts as 0.5; both on the grid of the CT."""


PAPER_SLICES, PAPER_MM, PAPER_SIZE = "paper-slices", 1.0, 512
"""The layout of the paper: its name, the distance of pixels in mm, and rows and columns."""

_STACKS = StackModel((TUMOUR,))
_SLICES = ImageModel((PAPER_SLICES,), (TUMOUR,), (TUMOUR,))


def _tumour_model(spec: ModelSpec) -> Iterator[str]:
    """What keeps a model from outlining tumours. It says from where on an outline is a finding."""
    paper = spec.input_layout == PAPER_SLICES
    yield from (_SLICES if paper else _STACKS)(spec)
    if paper and (spec.spacing_mm != PAPER_MM or any(one.dims[-1:] != (PAPER_SIZE,) for one in spec.inputs)):
        yield f"spacing_mm, inputs: {PAPER_SLICES} gives {PAPER_SIZE} x {PAPER_SIZE} pixels of {PAPER_MM:g} mm"
    if not 0.0 < spec.measured.get(LEAST_ML, 0.0) < 100.0:
        yield f"measured: {LEAST_ML}, above 0 and below 100, is the least volume in mL of a tumour that is told"
    if not 0.0 < spec.measured.get(LEAST_PEAK, 0.0) < 1.0:
        yield f"measured: {LEAST_PEAK}, between 0 and 1, is the least peak probability of a tumour that is told"


LUNG_TUMOUR = Role("lung-tumour", "lung tumours, outlined in axial slices", _tumour_model)
