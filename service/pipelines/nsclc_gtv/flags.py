"""Quality warnings of this pipeline, in the order in which they are read."""

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

TUMOUR_AT_EDGE = Flag(
    "TUMOUR_AT_EDGE", "A finding reaches the edge of the images: it is cut off.", "Q-TUMOUR-EDGE", "finding cut off"
)
FIELD_CUTS_TUMOUR = Flag(
    "FIELD_CUTS_TUMOUR",
    "A finding ends where the searched field ends: it may be larger.",
    "Q-FIELD-CUTS",
    "finding may be larger",
)
SIDE_DOUBTFUL = Flag(
    "SIDE_DOUBTFUL", "Side of a finding in doubt: both lungs are told as positive.", "Q-SIDE-DOUBTFUL", "side in doubt"
)
OUTSIDE_LUNGS = Flag("OUTSIDE_LUNGS", "A finding lies beside the lungs as they were measured.", "Q-OUTSIDE-LUNGS")
CANDIDATE_AS_LARGE = Flag(
    "CANDIDATE_AS_LARGE",
    "A candidate has half the volume of GTV-1 or more: choose by eye.",
    "Q-CAND-LARGE",
    "a candidate is nearly as large",
)
CANDIDATES = Flag("CANDIDATES", "More than one finding: the largest is GTV-1, others candidates.", "Q-CANDIDATES")
PARTS_LEFT_OUT = Flag("PARTS_LEFT_OUT", "Parts too small or too uncertain for a finding: left out.", "Q-PARTS-OUT")
LUNGS_UNMEASURED = Flag(
    "LUNGS_UNMEASURED", "Lungs not measured: no lobe and no distance to their surface.", "Q-NO-LUNGS"
)
THICKER_THAN_TRAINED = Flag(
    "THICKER_THAN_TRAINED", "Slices thicker than the tumour network was trained on.", "Q-TUMOUR-THICK", "thick slices"
)
BEYOND_CHEST = Flag("BEYOND_CHEST", "Images reach beyond the chest: only its slices were analysed.", "Q-BEYOND-CHEST")

FLAGS = (
    THICK_SLICES,
    LOSSY,
    AGE_UNKNOWN,
    THICKER_THAN_TRAINED,
    TUMOUR_AT_EDGE,
    FIELD_CUTS_TUMOUR,
    SIDE_DOUBTFUL,
    OUTSIDE_LUNGS,
    CANDIDATE_AS_LARGE,
    CANDIDATES,
    PARTS_LEFT_OUT,
    LUNGS_UNMEASURED,
    BEYOND_CHEST,
    *OF_THE_LUNGS,
    LOBES_APPROXIMATE,
    UNMEASURED_MODEL,
    PADDING_MASKED,
)
