"""`covid-severity`: lungs, five lobes, opacities and the CT severity score (papers.md A, Topff 2023).

The 3-class classifier is not part of it yet: `probabilities` is None and the report says so.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from service.domain.ct import CT
from service.domain.findings import Analysis, Lobe, ModelUse, SelfAgreement
from service.domain.model_roles import LOBES, LUNG_OPACITY, LUNGS
from service.domain.model_spec import ModelSpec
from service.domain.ports import Backend, Progress
from service.domain.severity import Severity, severity
from service.errors import Flag
from service.imaging.lungs import Lungs, find_lungs
from service.imaging.measure import measure, split_by_attenuation
from service.imaging.mirror import mirrored, self_agreement
from service.imaging.opacities import find_opacities
from service.pipelines.lobes import find_lobes
from service.pipelines.slices import asking, infer_slices, onto, views_of

AGREEMENT_LUNGS, AGREEMENT_OPACITIES = 0.97, 0.92
"""Self-agreement below which a result is flagged: docs/decisions/0063 says on what that rests."""


class CovidSeverity:
    """The default pipeline."""

    name: str = "covid-severity"
    models: tuple[str, ...] = (LUNG_OPACITY, LOBES)

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        """Rejected with NO_LUNG, TRUNCATED or LUNG_LOST; what the back end raises passes through."""
        lungs, opacity, agreement = _lungs_and_opacities(ct.volume, backend, progress)
        lobe_mask = find_lobes(ct.volume, lungs, backend, progress)
        progress("measure", 0.0)
        opacity &= lobe_mask > 0
        rows_mm, columns_mm = ct.volume.spacing[1:]
        finding_mask = split_by_attenuation(ct.volume.array, opacity, (rows_mm, columns_mm))
        progress("measure", 0.5)
        measured = measure(ct.volume.array, lobe_mask, finding_mask, ct.voxel_ml)
        found = {lobe for lobe in Lobe if measured.lobes[lobe].volume_ml > 0.0}
        progress("measure", 1.0)
        specs = [backend.spec(name) for name in (LUNG_OPACITY, LUNGS, LOBES) if backend.has(name)]
        floor = backend.spec(LUNG_OPACITY).noise_floor
        score = severity({lobe.name: measured.lobes[lobe] if lobe in found else None for lobe in Lobe}, floor)
        flags = {*ct.flags, *lungs.flags, *_quality(specs), *_doubts(score, agreement), Flag.NO_CLASSIFIER}
        return Analysis(
            pipeline=self.name,
            lobe_mask=lobe_mask,
            finding_mask=finding_mask,
            lobes=measured.lobes,
            lungs=measured.lungs,
            findings=measured.findings,
            severity=score,
            probabilities=None,
            models=tuple(ModelUse(spec.name, spec.version, spec.sha256) for spec in specs),
            flags=tuple(flag for flag in Flag if flag in flags),
            agreement=agreement,
        )


def _lungs_and_opacities(
    volume: hd.Volume, backend: Backend, progress: Progress
) -> tuple[Lungs, NDArray[np.bool_], SelfAgreement]:
    """Lungs, opacities (slice, row, column) that may reach a voxel beyond the lungs, and how sure that is."""
    stage = "lungs and opacities"
    progress(stage, 0.0)  # before resampling, whose seconds are not those of reading
    spec = backend.spec(LUNG_OPACITY)
    (grid,) = views_of(volume, spec)
    progress(stage, 0.0)
    lung, opacity = infer_slices([grid], spec, backend, lambda done: progress(stage, 0.6 * done))
    with asking(backend, 1) as other:  # what follows leaves a core free
        in_mirror = other.submit(infer_slices, [mirrored(grid)], spec, backend)
        best = lung
        if backend.has(LUNGS):
            better = backend.spec(LUNGS)
            views = views_of(volume, better)
            said = infer_slices(views, better, backend, lambda done: progress(stage, 0.6 + 0.3 * done))
            (best,) = onto(grid, views, said)
        lungs = find_lungs(grid, grid.with_array(best), volume, partial(progress, stage, 0.9))
        found = find_opacities(grid.with_array(opacity), lungs.on_model, volume)
        lung_again, opacity_again = in_mirror.result()
    agreement = self_agreement((lung, lung_again), (opacity, opacity_again), lungs.on_model)
    progress(stage, 1.0)
    return lungs, found, agreement


def _quality(specs: Sequence[ModelSpec]) -> Iterator[Flag]:
    """What the reader has to know about the models: a site's own are none that we have measured."""
    for spec in specs:
        if spec.source:
            yield Flag.UNMEASURED_MODEL
        elif spec.name == LOBES:
            yield Flag.LOBES_APPROXIMATE
        if spec.name == LUNG_OPACITY and spec.noise_floor is None:
            yield Flag.NO_NOISE_FLOOR


def _doubts(score: Severity, agreement: SelfAgreement) -> Iterator[Flag]:
    """What the reader has to know about this result."""
    if score.total is None:
        yield Flag.LOBE_MISSING
    if score.within_normal:
        yield Flag.TRACE_OPACITY
    if agreement.lungs < AGREEMENT_LUNGS or agreement.opacities < AGREEMENT_OPACITIES:
        yield Flag.LOW_AGREEMENT
