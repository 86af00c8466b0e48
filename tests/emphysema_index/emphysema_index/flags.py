"""Quality warnings of this pipeline, and the order in which a reader meets all of them."""

from service.domain.flags import OF_THE_CT, OF_THE_LUNGS, UNMEASURED_MODEL, Flag

SHARP_KERNEL = Flag(
    "SHARP_KERNEL", "Sharp kernel: its noise is counted as emphysema.", "Q-SHARP", "noise of a sharp kernel"
)

FLAGS = (*OF_THE_CT, *OF_THE_LUNGS, UNMEASURED_MODEL, SHARP_KERNEL)
