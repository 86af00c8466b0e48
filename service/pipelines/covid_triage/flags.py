"""Quality warnings of this pipeline, known failures of the paper among them, in the order in which they are read."""

from service.domain.flags import (
    AGE_UNKNOWN,
    LOSSY,
    OF_THE_LUNGS,
    PADDING_MASKED,
    THICK_SLICES,
    UNMEASURED_MODEL,
    Flag,
)
from service.pipelines.shared.flags import LOBES_APPROXIMATE

DENSE_LUNG = Flag(
    "DENSE_LUNG",
    "Lung as dense as in shallow breathing: no percentage, no class.",
    "Q-DENSE-LUNG",
    "dense lung",
)
METAL = Flag("METAL", "Metal near the lungs: streaks may hide or look like lesions.", "Q-METAL", "metal near the lungs")
LOBAR = Flag("LOBAR", "A lobe is nearly consolidated: lobar pneumonia is known to fail.", "Q-LOBAR", "lobar pneumonia")
SEVERAL_TYPES = Flag("SEVERAL_TYPES", "Ground glass and consolidation at once: known to fail.", "Q-SEVERAL-TYPES")
SMALL_LESIONS = Flag("SMALL_LESIONS", "Lesions below 1 cm: such are often missed or false.", "Q-SMALL-LESIONS")
LESIONS_AS_NORMAL = Flag("LESIONS_AS_NORMAL", "No more lesions than what is found in normal lungs.", "Q-LESIONS-NORMAL")
NOT_ALL_CLASSIFIED = Flag("NOT_ALL_CLASSIFIED", "Only the largest lesions were classified.", "Q-NOT-ALL-CLASS")

FLAGS = (
    THICK_SLICES,
    LOSSY,
    AGE_UNKNOWN,
    *OF_THE_LUNGS,
    DENSE_LUNG,
    METAL,
    LOBAR,
    SEVERAL_TYPES,
    SMALL_LESIONS,
    LOBES_APPROXIMATE,
    UNMEASURED_MODEL,
    PADDING_MASKED,
    LESIONS_AS_NORMAL,
    NOT_ALL_CLASSIFIED,
)
