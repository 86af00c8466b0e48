"""Quality warnings of this pipeline, and the order in which a reader meets all of them."""

from service.domain.flags import (
    AGE_UNKNOWN,
    LOSSY,
    OF_THE_LUNGS,
    PADDING_MASKED,
    THICK_SLICES,
    UNMEASURED_MODEL,
    Flag,
)
from service.pipelines.shared.flags import LOBES_APPROXIMATE, NOT_RELIABLE

LOBE_NOT_FOUND = Flag("LOBE_NOT_FOUND", "A lobe was not found: it has no burden of its own.", "Q-LOBE-NOT-FOUND")
WITHIN_NORMAL = Flag("WITHIN_NORMAL", "The burden is no more than what is found in normal lungs.", "Q-WITHIN-NORMAL")

FLAGS = (
    THICK_SLICES,
    LOSSY,
    AGE_UNKNOWN,
    *OF_THE_LUNGS,
    NOT_RELIABLE,
    LOBES_APPROXIMATE,
    UNMEASURED_MODEL,
    LOBE_NOT_FOUND,
    PADDING_MASKED,
    WITHIN_NORMAL,
)
