"""Quality warnings of this pipeline, and the order in which a reader meets all of them."""

from service.domain.flags import GAS_LEFT_OUT, LUNG_AT_EDGE, LUNG_DROPPED, OF_THE_CT, UNMEASURED_MODEL, Flag

SHARP_KERNEL = Flag(
    "SHARP_KERNEL", "Sharp kernel: its noise is counted as emphysema.", "Q-SHARP", "noise of a sharp kernel"
)

FLAGS = (*OF_THE_CT, LUNG_AT_EDGE, LUNG_DROPPED, GAS_LEFT_OUT, UNMEASURED_MODEL, SHARP_KERNEL)
