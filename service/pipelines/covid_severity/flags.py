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

LOBE_MISSING = Flag("LOBE_MISSING", "A lobe was not found: it is not scored, and there is no total.", "Q-LOBE-MISSING")
NO_CLASSIFIER = Flag("NO_CLASSIFIER", "Classification: no validated model installed.", "Q-NO-CLASSIFIER")
TRACE_OPACITY = Flag("TRACE_OPACITY", "The opacity found is within what is found in normal lungs.", "Q-TRACE-OPACITY")
NO_NOISE_FLOOR = Flag(
    "NO_NOISE_FLOOR",
    "No noise floor is measured for this model: noise is scored, too.",
    "Q-NO-FLOOR",
    "noise is scored, too",
)

FLAGS = (
    THICK_SLICES,
    LOSSY,
    AGE_UNKNOWN,
    *OF_THE_LUNGS,
    NOT_RELIABLE,
    LOBES_APPROXIMATE,
    UNMEASURED_MODEL,
    LOBE_MISSING,
    NO_CLASSIFIER,
    PADDING_MASKED,
    TRACE_OPACITY,
    NO_NOISE_FLOOR,
)
