"""Roles of the models that several pipelines use: they find lungs, lobes and opacities.

A model is fed in one of four layouts:

plane-grid: axial slices in HU at `spacing_mm`, centred on the body (`imaging.harmonise.to_plane_grid`).
body-crop: axial slices in HU, each cropped to its body and stretched (`imaging.body_crop.to_body_crops`).
lung-boxes: the right and the left lung's mask, each stretched to a box (`imaging.lobes.lung_boxes`).
slice-stacks: neighbouring axial slices as of plane-grid, all cut to one window on the lungs; those in the middle are
asked for (`stacks`).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from service.domain.anatomy import Lobe
from service.domain.model_roles import Role
from service.domain.model_spec import ModelSpec, TensorSpec
from service.pipelines.shared.lung_boxes import LUNG_BOXES
from service.pipelines.shared.slices import SLICE_STACKS


@dataclass(frozen=True, slots=True)
class ImageModel:
    """A `Check`: one image in, one UINT8 probability for each channel out, of the same size.

    layouts: in which it may be fed. channels: of the output, in this order. thresholded: those that
    need a threshold in the spec. averaged: its spec may ask for thin slices to be averaged.
    """

    layouts: tuple[str, ...]
    channels: tuple[str, ...]
    thresholded: tuple[str, ...] = ()
    averaged: bool = False

    def __call__(self, spec: ModelSpec) -> Iterator[str]:
        yield from self._settings(spec)
        yield from self._tensors(spec)

    def _settings(self, spec: ModelSpec) -> Iterator[str]:
        layout = spec.input_layout
        if layout not in self.layouts:
            yield f"layout: {spec.name} is fed as {' or '.join(self.layouts)}, not as {layout}"
        if layout == "plane-grid" and (spec.spacing_mm is None or spec.spacing_mm <= 0.0):
            yield "spacing_mm: a plane grid needs the distance of its pixels in mm"
        if layout == "body-crop" and (spec.window_hu is None or spec.window_hu[0] >= spec.window_hu[1]):
            yield "window_hu: a body crop is clipped before it is stretched, which needs [least, greatest] HU"
        if spec.slice_mm is not None and not self.averaged:
            yield f"slice_mm: {spec.name} sees the slices that lung-opacity sees"
        yield from _slice_mm(spec)
        if sorted(spec.thresholds) != sorted(self.thresholded):
            yield f"thresholds: {spec.name} has one for each of: {', '.join(self.thresholded) or 'none'}"
        if not all(0.0 < threshold < 1.0 for threshold in spec.thresholds.values()):
            yield "thresholds: each lies between 0 and 1"
        if spec.noise_floor is not None:
            yield f"noise_floor: it belongs to {OPACITY_CONTEXT.name}, whose opacities are scored"

    def _tensors(self, spec: ModelSpec) -> Iterator[str]:
        if len(spec.inputs) != 1 or len(spec.outputs) != 1:
            yield "inputs, outputs: one of each"
            return
        (taken,), (given,) = spec.inputs, spec.outputs
        boxes = spec.input_layout == LUNG_BOXES
        dtype, channels, rank = ("uint8", 2, 3) if boxes else ("int16", 1, 2)
        size = taken.dims[-1] if taken.dims else 0
        space = (size,) * rank
        if (taken.dtype, taken.dims) != (dtype, (channels, *space)) or size < 1:
            shape = ", ".join([str(channels), *["n"] * rank])
            yield f"inputs: {spec.input_layout} gives {dtype} of dims [{shape}]"
        if (given.dtype, given.dims) != ("uint8", (len(self.channels), *space)):
            yield f"outputs: {spec.name} answers uint8 probabilities (255 = certain) of dims [channels, as the input]"
        if given.channels != self.channels:
            yield f'outputs: the first of the axes is "{", ".join(self.channels)}", the channels in this order'


def _noise_floor(floor: Mapping[str, float]) -> Iterator[str]:
    """Opacity in one lobe of normal lungs: 5 % of a lobe is scored 2 by the published rule, and is never noise."""
    if floor.keys() != {"opacity_ml", "opacity_percent"}:
        yield "noise_floor: it has opacity_ml and opacity_percent"
    elif not (0.0 < floor["opacity_ml"] < math.inf and 0.0 < floor["opacity_percent"] < 5.0):
        yield "noise_floor: it lies above 0 mL and between 0 and 5 %"


MOST_SLICE_MM = 5.0
"""Slices that are further apart miss small opacities."""


def _slice_mm(spec: ModelSpec) -> Iterator[str]:
    if spec.slice_mm is not None and not 0.0 < spec.slice_mm <= MOST_SLICE_MM:
        yield f"slice_mm: above 0 and at most {MOST_SLICE_MM:g}, or left out"


@dataclass(frozen=True, slots=True)
class StackModel:
    """A `Check`: a stack of slices in, UINT8 probabilities of the slices in its middle out, one for each channel."""

    channels: tuple[str, ...]

    def __call__(self, spec: ModelSpec) -> Iterator[str]:
        yield from self._settings(spec)
        if len(spec.inputs) != 1 or len(spec.outputs) != 1:
            yield "inputs, outputs: one of each"
        else:
            yield from self._tensors(*spec.inputs, *spec.outputs)

    def _settings(self, spec: ModelSpec) -> Iterator[str]:
        if spec.input_layout != SLICE_STACKS:
            yield f"layout: {spec.name} is fed as {SLICE_STACKS}, not as {spec.input_layout}"
        if spec.spacing_mm is None or spec.spacing_mm <= 0.0:
            yield "spacing_mm: slice stacks need the distance of their pixels in mm"
        yield from _slice_mm(spec)
        if not 0.0 <= spec.measured.get("normal_percent", 0.0) <= 100.0:
            yield "measured: normal_percent lies between 0 and 100"
        if spec.noise_floor is not None:
            yield from _noise_floor(spec.noise_floor)
        if sorted(spec.thresholds) != sorted(self.channels):
            yield f"thresholds: {spec.name} has one for each of: {', '.join(self.channels)}"
        if not all(0.0 < threshold < 1.0 for threshold in spec.thresholds.values()):
            yield "thresholds: each lies between 0 and 1"

    def _tensors(self, taken: TensorSpec, given: TensorSpec) -> Iterator[str]:
        if taken.dtype != "int16" or len(taken.dims) != 3:
            yield "inputs: slice-stacks gives int16 of dims [slices, rows, columns]"
            return
        slices, *plane = taken.dims
        asked = given.dims[1] if len(given.dims) == 4 else 0
        if given.dtype != "uint8" or given.dims != (len(self.channels), asked, *plane):
            yield "outputs: uint8 probabilities (255 = certain) of dims [channels, slices, rows, columns]"
        elif not 0 < asked <= slices or (slices - asked) % 2:
            yield "outputs: the slices in the middle of those that it is given, as many left out before as after"
        if given.channels != self.channels:
            yield f'outputs: the first of the axes is "{", ".join(self.channels)}", the channels in this order'


LUNG_OPACITY = Role(
    "lung-opacity",
    "lungs, and a second opinion on opacities",
    ImageModel(("plane-grid",), ("lung", "opacity"), ("lung", "opacity"), averaged=True),
)

OPACITY_CONTEXT = Role(
    "opacity-context", "opacities, seen with the slices around them", StackModel(("lung", "opacity"))
)

LUNGS = Role(
    "lungs", "lungs, instead of those of lung-opacity", ImageModel(("plane-grid", "body-crop"), ("lung",), ("lung",))
)

LUNG_SHAPE = Role(
    "lung-shape",
    "what the lungs lack by their shape: masses, collapse",
    ImageModel((LUNG_BOXES,), ("right", "left"), ("right", "left")),
)

LOBES = Role(
    "lobes",
    "five lobes",
    ImageModel((LUNG_BOXES, "plane-grid", "body-crop"), tuple(lobe.name for lobe in Lobe)),
)
