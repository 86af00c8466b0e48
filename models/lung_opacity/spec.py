"""What the lung and opacity network eats and gives."""

from dataclasses import asdict

from service.domain.model_spec import ModelSpec, TensorSpec
from service.imaging.harmonise import PlaneGrid
from service.pipelines.covid_severity.score import NoiseFloor

WINDOW_HU = (-1250, 250)
"""Paper A: level -500, width 1500."""

GRID = PlaneGrid(spacing_mm=1.5, size=256)
CHANNELS = ("lung", "opacity")

NOISE_FLOOR = NoiseFloor(opacity_ml=5.0, opacity_percent=0.7)
"""Chosen from what `models.lung_opacity.noise_floor` measured on this network; why: docs/decisions/0125."""

SPEC = ModelSpec(
    name="lung-opacity",
    version="2",
    inputs=(TensorSpec("hu", "int16", (1, GRID.size, GRID.size), ("channel", "row to P", "column to L")),),
    outputs=(
        TensorSpec("probability", "uint8", (2, GRID.size, GRID.size), ("lung, opacity", "row to P", "column to L")),
    ),
    max_batch=16,
    spacing_mm=GRID.spacing_mm,
    window_hu=WINDOW_HU,
    thresholds={"lung": 0.5, "opacity": 0.5},
    licence="research use only: trained on data of unclear and non-commercial licence, see CARD.md",
    noise_floor=asdict(NOISE_FLOOR),
)
