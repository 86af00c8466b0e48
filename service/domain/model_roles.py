"""Model roles (`ROLES`), and what a model must fulfil for each. A model's name is its role.

The pipeline feeds a model as its spec says; what it may say is said here, and checked before a model is installed.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from service.domain.anatomy import Lobe
from service.domain.model_spec import Layout, ModelSpec

LUNG_OPACITY = "lung-opacity"
LUNGS = "lungs"
LOBES = "lobes"


@dataclass(frozen=True, slots=True)
class Role:
    """One role. channels: of the output, in this order. thresholded: those that need a threshold in the spec.

    required: the last version of its model cannot be removed. False for a role that only some pipelines use.
    """

    purpose: str
    layouts: tuple[Layout, ...]
    channels: tuple[str, ...]
    thresholded: tuple[str, ...] = ()
    required: bool = True


ROLES = {
    LUNG_OPACITY: Role("lungs and opacities", ("plane-grid",), ("lung", "opacity"), ("lung", "opacity")),
    LUNGS: Role("lungs, instead of those of lung-opacity", ("plane-grid", "body-crop"), ("lung",), ("lung",), False),
    LOBES: Role("five lobes", ("lung-boxes", "plane-grid", "body-crop"), tuple(lobe.name for lobe in Lobe)),
}


def mistakes(spec: ModelSpec) -> list[str]:
    """What keeps a model from its role, one sentence each; empty if nothing does."""
    role = ROLES.get(spec.name)
    if role is None:
        return [f"name: {spec.name!r} is no role; there are {', '.join(ROLES)}"]
    return [*_settings(spec, role), *_tensors(spec, role)]


def _settings(spec: ModelSpec, role: Role) -> Iterator[str]:
    layout = spec.input_layout
    if layout not in role.layouts:
        yield f"layout: {spec.name} is fed as {' or '.join(role.layouts)}, not as {layout}"
    if layout == "plane-grid" and (spec.spacing_mm is None or spec.spacing_mm <= 0.0):
        yield "spacing_mm: a plane grid needs the distance of its pixels in mm"
    if layout == "body-crop" and (spec.window_hu is None or spec.window_hu[0] >= spec.window_hu[1]):
        yield "window_hu: a body crop is clipped before it is stretched, which needs [least, greatest] HU"
    if sorted(spec.thresholds) != sorted(role.thresholded):
        yield f"thresholds: {spec.name} has one for each of: {', '.join(role.thresholded) or 'none'}"
    if not all(0.0 < threshold < 1.0 for threshold in spec.thresholds.values()):
        yield "thresholds: each lies between 0 and 1"
    if spec.noise_floor is not None and spec.name != LUNG_OPACITY:
        yield f"noise_floor: {spec.name} finds no opacity"
    elif spec.noise_floor is not None:
        yield from _noise_floor(spec.noise_floor)
    if spec.max_batch < 1:
        yield "max_batch: at least 1"


def _noise_floor(floor: Mapping[str, float]) -> Iterator[str]:
    """Opacity in one lobe of normal lungs: 5 % of a lobe is scored 2 by the published rule, and is never noise."""
    if floor.keys() != {"opacity_ml", "opacity_percent"}:
        yield "noise_floor: it has opacity_ml and opacity_percent"
    elif not (0.0 < floor["opacity_ml"] < math.inf and 0.0 < floor["opacity_percent"] < 5.0):
        yield "noise_floor: it lies above 0 mL and between 0 and 5 %"


def _tensors(spec: ModelSpec, role: Role) -> Iterator[str]:
    if len(spec.inputs) != 1 or len(spec.outputs) != 1:
        yield "inputs, outputs: one of each"
        return
    (taken,), (given,) = spec.inputs, spec.outputs
    boxes = spec.input_layout == "lung-boxes"
    dtype, channels, rank = ("uint8", 2, 3) if boxes else ("int16", 1, 2)
    size = taken.dims[-1] if taken.dims else 0
    space = (size,) * rank
    if (taken.dtype, taken.dims) != (dtype, (channels, *space)) or size < 1:
        shape = ", ".join([str(channels), *["n"] * rank])
        yield f"inputs: {spec.input_layout} gives {dtype} of dims [{shape}]"
    if (given.dtype, given.dims) != ("uint8", (len(role.channels), *space)):
        yield f"outputs: {spec.name} answers uint8 probabilities (255 = certain) of dims [channels, as the input]"
    if not given.axes or given.axes[0] != ", ".join(role.channels):
        yield f'outputs: the first of the axes is "{", ".join(role.channels)}", the channels in this order'
