"""What the infection classifier of covid-triage takes and gives: one lesion at a time.

A region is the lesion's bounding box and `MARGIN_MM` on each side, stretched onto `REGION` voxels axis by axis; HU
outside the lungs are -1024.
"""

from models.triage_lesion.spec import AXES, WINDOW_HU
from service.domain.model_spec import ModelSpec, TensorSpec

REGION = (48, 96, 96)
"""Slices, rows and columns of a region."""

MARGIN_MM = 10.0

CLASSES = ("COVID-19", "other pulmonary infection", "no infection")

SPEC = ModelSpec(
    name="triage-infection",
    version="1",
    inputs=(TensorSpec("hu", "int16", REGION, AXES), TensorSpec("mask", "uint8", REGION, AXES)),
    outputs=(
        TensorSpec("probabilities", "float32", (len(CLASSES),), (", ".join(CLASSES),)),
        TensorSpec("heat_map", "uint8", REGION, AXES),
    ),
    max_batch=4,
    window_hu=WINDOW_HU,
    licence="research use only, experimental, not validated: see CARD.md",
    layout="lesion-region",
)
