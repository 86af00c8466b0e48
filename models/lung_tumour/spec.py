"""What the tumour network eats and gives."""

from service.domain.model_spec import ModelSpec, TensorSpec
from service.imaging.harmonise import PlaneGrid
from service.pipelines.nsclc_gtv.model_roles import TUMOUR

REACH = 3
"""Slices to either side that the network sees."""

WINDOW_HU = (-1000, 250)
"""All that it sees; within it soft tissue is shown a second time (`network`)."""

GRID = PlaneGrid(spacing_mm=2.0, size=192, slice_mm=2.5)
"""Thin slices are averaged: seven of them reach 17.5 mm or more."""

CHANNELS = (TUMOUR,)

ASKED = 16
"""Slices that one call answers for; it is given `REACH` more to either side."""

WINDOW = (144, 192)
"""Rows and columns around the lung field, 288 x 384 mm, that one call sees of the grid: most fields fit."""

SPEC = ModelSpec(
    name="lung-tumour",
    version="1",
    inputs=(TensorSpec("hu", "int16", (ASKED + 2 * REACH, *WINDOW), ("slice to F", "row to P", "column to L")),),
    outputs=(
        TensorSpec(
            "probability",
            "uint8",
            (len(CHANNELS), ASKED, *WINDOW),
            (", ".join(CHANNELS), "slice to F", "row to P", "column to L"),
        ),
    ),
    max_batch=1,
    spacing_mm=GRID.spacing_mm,
    slice_mm=GRID.slice_mm,
    window_hu=WINDOW_HU,
    thresholds={TUMOUR: 0.5},
    licence="research use only, not commercial: trained on data of non-commercial and unclear licence, see CARD.md",
    layout="slice-stacks",
    measured={"least_ml": 1.0, "least_peak": 0.9},
)
"""measured: what is smaller than least_ml, or nowhere as probable (0-1) as least_peak, is no tumour; why these:
docs/decisions/0197."""
