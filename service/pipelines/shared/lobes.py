"""Lobes by the installed model, whatever it wants to be shown."""

from functools import partial

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from service.domain.ct import CT
from service.domain.model_spec import ModelSpec
from service.domain.ports import Backend, Progress
from service.imaging.fissures.follow import follow_fissures
from service.imaging.lobes import LOBES_OF, lobes_in_lungs, lobes_on_source
from service.imaging.lungs import Lungs, Side
from service.pipelines.shared.lung_boxes import LUNG_BOXES, in_boxes
from service.pipelines.shared.lungs import lungs_made_with
from service.pipelines.shared.model_roles import LOBES
from service.pipelines.shared.slices import averaged_as, infer_slices, onto, views_of

_STAGE = "lobes"

Answer = tuple[dict[Side, NDArray[np.uint8]], dict[Side, hd.Volume]]
"""Per lung: UINT8 probability of its lobes, and the grid it is on."""


def lobes_of(ct: CT, lungs: Lungs, backend: Backend, progress: Progress) -> NDArray[np.uint8]:
    """Lobe labels of exactly the lung voxels, axes (slice, row, column); found once for these lungs, read only."""
    made_with = (*lungs_made_with(backend), backend.spec(LOBES.name).sha256)
    found = ct.remembered(("lobes", *made_with), lambda: find_lobes(ct.volume, lungs, backend, progress))
    progress(_STAGE, 1.0)
    return found


def find_lobes(volume: hd.Volume, lungs: Lungs, backend: Backend, progress: Progress) -> NDArray[np.uint8]:
    """Lobe labels of exactly the lung voxels, axes (slice, row, column) of `volume`."""
    progress(_STAGE, 0.0)
    spec = backend.spec(LOBES.name)
    if spec.input_layout == LUNG_BOXES:
        said, boxes = in_boxes(lungs.on_model, spec, backend)
        right = len(LOBES_OF[Side.RIGHT])
        probability = {Side.RIGHT: said[:right], Side.LEFT: said[right:]}
        progress(_STAGE, 0.1)
        probability = follow_fissures(probability, boxes, volume, lungs, partial(progress, _STAGE, 0.1))
    else:
        probability, boxes = _in_slices(volume, lungs, spec, backend, progress)
    labels = lobes_on_source(probability, boxes, lungs, volume, partial(progress, _STAGE, 1.0))
    labels.flags.writeable = False
    return labels


def _in_slices(volume: hd.Volume, lungs: Lungs, spec: ModelSpec, backend: Backend, progress: Progress) -> Answer:
    views = views_of(averaged_as(lungs.on_model, volume), spec)
    said = infer_slices(views, spec, backend, lambda part: progress(_STAGE, part))
    return lobes_in_lungs(onto(lungs.on_model, views, said), lungs.on_model)
