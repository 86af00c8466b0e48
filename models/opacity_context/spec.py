"""What the opacity network with context eats and gives."""

from dataclasses import asdict

from models.networks.reach import REACH
from service.domain.model_spec import ModelSpec, TensorSpec
from service.imaging.harmonise import PlaneGrid
from service.pipelines.covid_severity.score import NoiseFloor

WINDOW_HU = (-1024, 600)
"""Paper C."""

GRID = PlaneGrid(spacing_mm=1.5, size=256, slice_mm=2.5)
"""Thin slices are averaged, so that five of them reach 12.5 mm or more."""

CHANNELS = ("lung", "opacity")

ASKED = 12
"""Slices that one call answers for; it is given `REACH` more to either side."""

WINDOW = (176, 224)
"""Rows and columns around the lungs, 264 x 336 mm, that one call sees of the grid: most lungs fit."""

NOISE_FLOOR = NoiseFloor(opacity_ml=5.0, opacity_percent=0.7)
"""Chosen from what `models.opacity_context.noise_floor` measured on this network; why: docs/decisions/0125."""

SPEC = ModelSpec(
    name="opacity-context",
    version="3",
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
    thresholds=dict.fromkeys(CHANNELS, 0.5),
    licence="research use only: trained on data of unclear and non-commercial licence, see CARD.md",
    layout="slice-stacks",
    noise_floor=asdict(NOISE_FLOOR),
    measured={"normal_percent": 0.12},
)
