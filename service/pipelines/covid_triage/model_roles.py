"""Roles of this pipeline's models: one finds lesions in patches, one classifies the region around a lesion.

patches: boxes of the lungs in HU on a grid of `SPACING_MM` (`lung_grid`), axes (slice to F, row to P, column to L).
lesion-region: the box around one lesion, stretched to the model's size, and the mask of that lesion: 0, else lesion.
"""

from collections.abc import Iterator
from enum import StrEnum

from service.domain.model_roles import Role, Shape, Tensors
from service.domain.model_spec import ModelSpec

SPACING_MM = (2.5, 1.0, 1.0)
"""Distance of slices, rows and columns on the models' grid (paper B)."""

LESION = "lesion"
"""The channel of the network that finds lesions."""

_LEAST_SIZE = 16
"""Voxels of a patch along each axis."""


class Infection(StrEnum):
    """The classes, in the order of the classifier's outputs, as its spec names them."""

    COVID_19 = "COVID-19"
    OTHER = "other pulmonary infection"
    NONE = "no infection"


def _lesion_model(spec: ModelSpec) -> Iterator[str]:
    """What keeps a model from finding lesions: it takes a patch of any size, and answers for each voxel of it."""
    yield from _fed_as("patches", spec)
    if sorted(spec.thresholds) != [LESION] or not 0.0 < spec.thresholds[LESION] < 1.0:
        yield f"thresholds: {spec.name} has one for {LESION}, between 0 and 1"
    if not 0.0 <= spec.measured.get("normal_percent", 0.0) <= 100.0:
        yield "measured: normal_percent lies between 0 and 100"
    space = spec.inputs[0].dims if spec.inputs else ()
    if len(space) != 3 or min(space) < _LEAST_SIZE:
        yield f"inputs: patches gives int16 of dims [slices, rows, columns], at least {_LEAST_SIZE} of each"
        return
    yield from Tensors({"hu": Shape("int16", space)}, {"probability": Shape("uint8", (1, *space))})(spec)
    if spec.outputs and spec.outputs[0].channels != (LESION,):
        yield f'outputs: the first of the axes is "{LESION}"'


def _infection_model(spec: ModelSpec) -> Iterator[str]:
    """What keeps a model from classifying: it takes a region and its lesion, and answers classes and a heat map."""
    yield from _fed_as("lesion-region", spec)
    space = spec.inputs[0].dims if spec.inputs else ()
    if len(space) != 3:
        yield "inputs: lesion-region gives hu and mask of dims [slices, rows, columns]"
        return
    taken = {"hu": Shape("int16", space), "mask": Shape("uint8", space)}
    given = {"probabilities": Shape("float32", (len(Infection),)), "heat_map": Shape("uint8", space)}
    yield from Tensors(taken, given)(spec)
    for tensor in spec.outputs:
        if tensor.name == "probabilities" and tensor.channels != tuple(Infection):
            yield f'outputs: the first of the axes of probabilities is "{", ".join(Infection)}"'


def _fed_as(layout: str, spec: ModelSpec) -> Iterator[str]:
    if spec.input_layout != layout:
        yield f"layout: {spec.name} is fed as {layout}, not as {spec.input_layout}"
    if spec.spacing_mm not in (None, SPACING_MM[1]) or spec.slice_mm not in (None, SPACING_MM[0]):
        yield f"spacing_mm, slice_mm: its grid is {SPACING_MM[1]:g} mm and {SPACING_MM[0]:g} mm, or left out"
    if spec.noise_floor is not None:
        yield f"noise_floor: {spec.name} has none; measured.normal_percent says what it finds in normal lungs"


TRIAGE_LESION = Role("triage-lesion", "lesions of the lungs, in 3D patches", _lesion_model)

TRIAGE_INFECTION = Role("triage-infection", "class and heat map of one lesion (experimental)", _infection_model)
