"""What the lung and opacity network eats and gives."""

from service.domain.model_spec import ModelSpec, TensorSpec
from service.imaging.harmonise import PlaneGrid

WINDOW_HU = (-1250, 250)
"""Paper A: level -500, width 1500."""

GRID = PlaneGrid(spacing_mm=1.5, size=256, slice_mm=2.5)
"""Thin slices are averaged: the cost follows the millimetres of chest, not the slices."""

CHANNELS = ("lung", "opacity")

SPEC = ModelSpec(
    name="lung-opacity",
    version="4",
    inputs=(TensorSpec("hu", "int16", (1, GRID.size, GRID.size), ("channel", "row to P", "column to L")),),
    outputs=(
        TensorSpec("probability", "uint8", (2, GRID.size, GRID.size), ("lung, opacity", "row to P", "column to L")),
    ),
    max_batch=16,
    spacing_mm=GRID.spacing_mm,
    slice_mm=GRID.slice_mm,
    window_hu=WINDOW_HU,
    thresholds={"lung": 0.5, "opacity": 0.5},
    licence="research use only: trained on data of unclear and non-commercial licence, see CARD.md",
)
