"""Lobes and opacities of the same lungs, found at once: neither keeps all cores busy."""

from concurrent.futures import CancelledError, wait
from threading import Event

import numpy as np
from numpy.typing import NDArray

from service.domain.ct import CT
from service.domain.ports import Backend, Progress
from service.imaging.lungs import Lungs
from service.pipelines.shared.context_opacities import Seen, opacities_of
from service.pipelines.shared.lobes import lobes_of
from service.pipelines.shared.lungs import SliceAnswers
from service.pipelines.shared.model_roles import LOBES, OPACITY_CONTEXT
from service.pipelines.shared.slices import asking

_TOLD_EVERY_S = 0.2


def lobes_and_opacities(
    ct: CT, answers: SliceAnswers, lungs: Lungs, backend: Backend, progress: Progress
) -> tuple[NDArray[np.uint8], Seen]:
    """`lobes_of` and `opacities_of`. The stage "opacities" is what is left of them when the lobes are found.

    progress: called in the caller's thread only; what it raises ends both.
    """
    for role in (LOBES, OPACITY_CONTEXT):
        backend.spec(role.name)  # whoever records which models are asked sees them in one order
    part, ended = [0.0], Event()

    def note(done: float) -> None:
        if ended.is_set():
            raise CancelledError
        part[0] = done

    with asking(backend, 1) as beside:
        finding = beside.submit(opacities_of, ct, answers, lungs, backend, note)
        try:
            lobe_mask = lobes_of(ct, lungs, backend, progress)
            while not finding.done():
                progress("opacities", part[0])
                wait([finding], _TOLD_EVERY_S)
            progress("opacities", 1.0)
            return lobe_mask, finding.result()
        except BaseException:
            ended.set()
            raise
