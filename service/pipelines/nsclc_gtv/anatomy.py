"""Lungs and lobes around the findings. A CT whose lungs cannot be measured is analysed for tumours all the same."""

from dataclasses import dataclass

from service.domain.analysis import LabelArray
from service.domain.ct import CT
from service.domain.flags import Flag
from service.domain.ports import Backend, Progress
from service.errors import Rejected
from service.pipelines.nsclc_gtv.flags import LUNGS_UNMEASURED
from service.pipelines.shared.lobes import lobes_of
from service.pipelines.shared.lungs import lungs_of, slice_answers


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """lobe_mask: labels (`Lobe`) of the lungs, axes (slice, row, column) of the CT; None where they were not measured.

    flags: of the lungs, or why they were not measured.
    """

    lobe_mask: LabelArray | None
    flags: tuple[Flag, ...]


def anatomy_of(ct: CT, backend: Backend, progress: Progress) -> Anatomy:
    """Lungs and lobes as of every pipeline, but what would refuse a CT there is told here; other errors pass."""
    progress("lungs", 0.0)
    try:
        answers = slice_answers(ct, backend, lambda done: progress("lungs", 0.7 * done))
        lungs = lungs_of(ct, answers, backend, lambda done: progress("lungs", 0.7 + 0.3 * done))
        lobe_mask = lobes_of(ct, lungs, backend, progress)
    except Rejected as rejected:
        why = " ".join(f"{one.reason.value}: {one.detail}" for one in rejected.refusals)
        return Anatomy(None, (LUNGS_UNMEASURED.because(why),))
    return Anatomy(lobe_mask, lungs.flags)
