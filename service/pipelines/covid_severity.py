"""`covid-severity`: lungs, five lobes, opacities and the CT severity score (papers.md A, Topff 2023).

The 3-class classifier is not part of it yet: `probabilities` is None and the report says so.
"""

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from service.domain.ct import CT
from service.domain.findings import Analysis, Lobe, ModelUse
from service.domain.model_spec import ModelSpec
from service.domain.ports import Backend, Progress
from service.domain.severity import severity
from service.errors import Flag
from service.imaging.harmonise import PlaneGrid, to_plane_grid
from service.imaging.lobes import LOBES_OF, lobes_on_source, lung_boxes, present
from service.imaging.lungs import Lungs, Side, find_lungs
from service.imaging.measure import measure, split_by_attenuation
from service.imaging.opacities import find_opacities

LUNG_OPACITY = "lung-opacity"
LOBES = "lobes"

TRACE_ML = 10.0
"""Below it the score rests on noise: the two CTs without pneumonia have 1 and 7 mL (models/lung_opacity/CARD.md)."""

_BATCH = 8
"""Slices per call: more saves no time and costs memory."""


class CovidSeverity:
    """The default pipeline."""

    name: str = "covid-severity"
    models: tuple[str, ...] = (LUNG_OPACITY, LOBES)

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        """Rejected with NO_LUNG or TRUNCATED; what the back end raises passes through."""
        lungs, opacity = _lungs_and_opacities(ct.volume, backend, progress)
        lobe_mask = _lobes(ct.volume, lungs, backend, progress)
        progress("measure", 0.0)
        opacity &= lobe_mask > 0
        rows_mm, columns_mm = ct.volume.spacing[1:]
        finding_mask = split_by_attenuation(ct.volume.array, opacity, (rows_mm, columns_mm))
        measured = measure(ct.volume.array, lobe_mask, finding_mask, ct.voxel_ml)
        found = present(lobe_mask)
        progress("measure", 1.0)
        flags = {*ct.flags, *lungs.flags, Flag.LOBES_APPROXIMATE, Flag.NO_CLASSIFIER}
        if len(found) < len(Lobe):
            flags.add(Flag.LOBE_MISSING)
        if 0.0 < measured.lungs["total"].opacity_ml < TRACE_ML:
            flags.add(Flag.TRACE_OPACITY)
        return Analysis(
            pipeline=self.name,
            lobe_mask=lobe_mask,
            finding_mask=finding_mask,
            lobes=measured.lobes,
            lungs=measured.lungs,
            findings=measured.findings,
            severity=severity(
                {lobe.name: measured.lobes[lobe].opacity_percent if lobe in found else None for lobe in Lobe}
            ),
            probabilities=None,
            models=tuple(_use(backend.spec(name)) for name in self.models),
            flags=tuple(flag for flag in Flag if flag in flags),
        )


def _lungs_and_opacities(volume: hd.Volume, backend: Backend, progress: Progress) -> tuple[Lungs, NDArray[np.bool_]]:
    """Lungs, and opacities (slice, row, column) that may reach a voxel beyond the lungs."""
    progress("lungs and opacities", 0.0)  # before resampling, whose seconds are not those of reading
    spec = backend.spec(LUNG_OPACITY)
    moved = to_plane_grid(volume, _plane_grid(spec))
    lung, opacity = (np.empty(moved.spatial_shape, np.uint8) for _ in range(2))
    batch = min(_BATCH, spec.max_batch)
    for k in range(0, len(moved.array), batch):
        progress("lungs and opacities", k / len(moved.array))
        answer = backend.infer(LUNG_OPACITY, {spec.inputs[0].name: moved.array[k : k + batch, None]})
        both = answer[spec.outputs[0].name]
        lung[k : k + batch] = centred(both[:, 0], spec.thresholds["lung"])
        opacity[k : k + batch] = centred(both[:, 1], spec.thresholds["opacity"])
    lungs = find_lungs(moved, moved.with_array(lung), volume)
    found = find_opacities(moved.with_array(opacity), lungs.on_model, volume)
    progress("lungs and opacities", 1.0)
    return lungs, found


def centred(probability: NDArray[np.uint8], threshold: float) -> NDArray[np.uint8]:
    """UINT8 probabilities stretched so that the model's own threshold (0-1) lies where 0.5 was."""
    table = np.interp(np.arange(256), [0.0, 255.0 * threshold, 255.0], [0.0, 127.5, 255.0])
    return np.rint(table).astype(np.uint8)[probability]


def _plane_grid(spec: ModelSpec) -> PlaneGrid:
    assert spec.spacing_mm is not None, "a 2D model has a grid in mm"
    return PlaneGrid(spec.spacing_mm, spec.inputs[0].dims[-1])


def _lobes(volume: hd.Volume, lungs: Lungs, backend: Backend, progress: Progress) -> NDArray[np.uint8]:
    """Lobe labels (slice, row, column)."""
    progress("lobes", 0.0)
    spec = backend.spec(LOBES)
    boxes = lung_boxes(lungs.on_model, spec.inputs[0].dims[-1])
    both = np.stack([boxes[side].array for side in Side])
    answer = backend.infer(LOBES, {spec.inputs[0].name: both[None]})[spec.outputs[0].name][0]
    right = len(LOBES_OF[Side.RIGHT])
    labels = lobes_on_source({Side.RIGHT: answer[:right], Side.LEFT: answer[right:]}, boxes, lungs, volume)
    progress("lobes", 1.0)
    return labels


def _use(spec: ModelSpec) -> ModelUse:
    return ModelUse(spec.name, spec.version, spec.sha256)
