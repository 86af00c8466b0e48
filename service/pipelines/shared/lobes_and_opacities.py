"""Lobes and opacities of the same lungs, found at once: neither keeps all cores busy."""

from collections.abc import Mapping
from concurrent.futures import CancelledError, wait
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from service.domain.backend_wrapper import BackendWrapper
from service.domain.ct import CT
from service.domain.ports import Array, Backend, Progress
from service.imaging.lungs import Lungs
from service.pipelines.shared.context_opacities import Seen, opacities_of
from service.pipelines.shared.lobes import lobes_of
from service.pipelines.shared.lungs import SliceAnswers
from service.pipelines.shared.model_roles import LOBES, OPACITY_CONTEXT
from service.pipelines.shared.slices import asking

_TOLD_EVERY_S = 0.2


class _AskedByTwo(BackendWrapper):
    """A back end of two threads: when one fails, or is told to end, nothing more is asked by the other.

    failed: the first error of either. ended: whether nothing more is to be asked.
    """

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.failed: Exception | None = None
        self.ended = False
        self._changing = Lock()

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.check_ended()
        try:
            return self._backend.infer(name, inputs)
        except Exception as error:
            self.fail(error)
            raise

    def fail(self, error: Exception) -> None:
        """End both, unless they are ended: then the error follows from that."""
        with self._changing:
            if self.ended:
                return
            self.failed, self.ended = error, True
        self.cancel()

    def end(self) -> None:
        with self._changing:
            self.ended = True

    def check_ended(self) -> None:
        if self.ended:
            raise CancelledError


def lobes_and_opacities(
    ct: CT, answers: SliceAnswers, lungs: Lungs, backend: Backend, progress: Progress
) -> tuple[NDArray[np.uint8], Seen]:
    """`lobes_of` and `opacities_of`. The stage "opacities" is what is left of them when the lobes are found.

    progress: called as `lobes_of` does, and then by the caller's thread; what it raises ends both. An error of either
    ends both, too, and is raised.
    """
    for role in (LOBES, OPACITY_CONTEXT):
        backend.spec(role.name)  # the order in which a `RecordingBackend` sees them does not depend on threads
    both, part = _AskedByTwo(backend), [0.0]

    def find() -> Seen:
        try:
            return opacities_of(ct, answers, lungs, both, note)
        except Exception as error:
            both.fail(error)
            raise

    def note(done: float) -> None:
        both.check_ended()
        part[0] = done

    def tell(stage: str, done: float) -> None:
        both.check_ended()
        progress(stage, done)

    try:
        with asking(backend, 1) as beside:
            finding = beside.submit(find)
            try:
                lobe_mask = lobes_of(ct, lungs, both, tell)
                while not finding.done():
                    tell("opacities", part[0])
                    wait([finding], _TOLD_EVERY_S)
                seen = finding.result()
            except BaseException:
                both.end()
                raise
    except Exception as consequence:
        if both.failed is not None and both.failed is not consequence:
            raise both.failed from consequence
        raise
    progress("opacities", 1.0)
    return lobe_mask, seen
