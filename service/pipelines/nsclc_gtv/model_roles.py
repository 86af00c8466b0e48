"""Role of this pipeline's model: it outlines lung tumours in axial slices, seen with the slices around them.

It is fed in the layout `slice-stacks` (`service.pipelines.shared.model_roles`), with air outside the lung field.
"""

from service.domain.model_roles import Role
from service.pipelines.shared.model_roles import StackModel

TUMOUR = "tumour"
"""The channel of the network that outlines tumours."""

LUNG_TUMOUR = Role("lung-tumour", "lung tumours, outlined in axial slices", StackModel((TUMOUR,)))
