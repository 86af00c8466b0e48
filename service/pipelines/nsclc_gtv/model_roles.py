"""Role of this pipeline's model: it outlines lung tumours in axial slices, seen with the slices around them.

It is fed in the layout `slice-stacks` (`service.pipelines.shared.model_roles`), with air outside the lung field.
"""

from collections.abc import Iterator

from service.domain.model_roles import Role
from service.domain.model_spec import ModelSpec
from service.pipelines.shared.model_roles import StackModel

TUMOUR = "tumour"
"""The channel of the network that outlines tumours."""

LEAST_ML, LEAST_PEAK = "least_ml", "least_peak"
"""The detection rule in `ModelSpec.measured`: least volume in mL, and least peak probability, 0 to 1, of a tumour."""


_OUTLINES = StackModel((TUMOUR,))


def _tumour_model(spec: ModelSpec) -> Iterator[str]:
    """What keeps a model from outlining tumours. It says from where on an outline is a finding."""
    yield from _OUTLINES(spec)
    if not 0.0 < spec.measured.get(LEAST_ML, 0.0) < 100.0:
        yield f"measured: {LEAST_ML}, above 0 and below 100, is the least volume in mL of a tumour that is told"
    if not 0.0 < spec.measured.get(LEAST_PEAK, 0.0) < 1.0:
        yield f"measured: {LEAST_PEAK}, between 0 and 1, is the least peak probability of a tumour that is told"


LUNG_TUMOUR = Role("lung-tumour", "lung tumours, outlined in axial slices", _tumour_model)
