"""What the lesion network of covid-triage takes and gives."""

from service.domain.model_spec import ModelSpec, TensorSpec

WINDOW_HU = (-1024, 350)
"""Paper B."""

SPACING_MM = (2.5, 1.0, 1.0)
"""Slice, row, column: paper B, by cubic interpolation."""

PATCH = (64, 128, 128)
"""Slices, rows and columns of one patch. Paper B has 128 x 256 x 256."""

CHANNELS = ("lesion",)

AXES = ("slice to F", "row to P", "column to L")

SPEC = ModelSpec(
    name="triage-lesion",
    version="1",
    inputs=(TensorSpec("hu", "int16", PATCH, AXES),),
    outputs=(TensorSpec("probability", "uint8", (len(CHANNELS), *PATCH), (", ".join(CHANNELS), *AXES)),),
    max_batch=2,
    spacing_mm=SPACING_MM[1],
    slice_mm=SPACING_MM[0],
    window_hu=WINDOW_HU,
    thresholds=dict.fromkeys(CHANNELS, 0.5),
    licence="research use only: trained on data of unclear and non-commercial licence, see CARD.md",
    layout="patches",
    measured={"normal_percent": 0.65},
)
