"""The pipeline: lungs, five lobes, opacities and the CT severity score (Topff 2023).

The 3-class classifier is not part of it yet: there are no probabilities, and the report says so.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from service.domain.analysis import Analysis, LabelMapKind, ModelUse, PipelineUse
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.domain.eligibility import Limits
from service.domain.flags import Flag, in_order
from service.domain.model_roles import Role
from service.domain.model_spec import ModelSpec
from service.domain.pipeline import Drift
from service.domain.ports import Backend, Progress, Step
from service.domain.report import ReportBody
from service.imaging.lungs import Lungs
from service.pipelines.covid_severity import flags as warnings
from service.pipelines.covid_severity import report as pages
from service.pipelines.covid_severity.mirror import SelfAgreement, mirrored, self_agreement
from service.pipelines.covid_severity.result import Measured, to_analysis
from service.pipelines.covid_severity.score import NoiseFloor, Severity, severity
from service.pipelines.shared import lobe_segments, opacity_segments
from service.pipelines.shared.flags import of_models
from service.pipelines.shared.lobes import lobes_of
from service.pipelines.shared.lungs import lungs_of, slice_answers
from service.pipelines.shared.measure import measure, split_by_attenuation
from service.pipelines.shared.model_roles import LOBES, LUNG_OPACITY, LUNGS
from service.pipelines.shared.opacities import find_opacities
from service.pipelines.shared.slices import asking, infer_slices

AGREEMENT_LUNGS, AGREEMENT_OPACITIES = 0.97, 0.92
"""Self-agreement below which a result is flagged: docs/decisions/0063 says on what that rests."""


class CovidSeverity:
    """The default pipeline."""

    name: str = "covid-severity"
    version: str = "1.1"
    title: str = "Lungs, lobes, opacities and the CT severity score (0-25)"
    models: tuple[Role, ...] = (LUNG_OPACITY, LOBES)
    optional_models: tuple[Role, ...] = (LUNGS,)
    limits: Limits = Limits()
    flags: tuple[Flag, ...] = warnings.FLAGS
    label_maps: tuple[LabelMapKind, ...] = (lobe_segments.KIND, opacity_segments.KIND)
    series_number: int = 9000
    drift: tuple[Drift, ...] = (
        Drift("severity_score", "CT severity score, 0-25"),
        Drift("opacity_percent", "Affected part of the lungs in percent"),
    )

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        """Rejected with NO_LUNG, TRUNCATED or LUNG_LOST; what the back end raises passes through."""
        lungs, opacity, agreement = _lungs_and_opacities(ct, backend, progress)
        lobe_mask = lobes_of(ct, lungs, backend, progress)
        progress("measure", 0.0)
        opacity &= lobe_mask > 0
        rows_mm, columns_mm = ct.volume.spacing[1:]
        opacity_mask = split_by_attenuation(ct.volume.array, opacity, (rows_mm, columns_mm))
        progress("measure", 0.5)
        regions = measure(ct.volume.array, lobe_mask, opacity_mask, ct.voxel_ml)
        progress("measure", 1.0)
        scored = {lobe.name: regions.lobes[lobe] if regions.lobes[lobe].volume_ml > 0.0 else None for lobe in Lobe}
        specs = [backend.spec(role.name) for role in (LUNG_OPACITY, LUNGS, LOBES) if backend.has(role.name)]
        found = Measured(
            lobe_mask,
            opacity_mask,
            ct.voxel_ml,
            regions,
            severity(scored, _noise_floor(backend.spec(LUNG_OPACITY.name))),
            agreement,
        )
        raised = (
            *ct.flags,
            *lungs.flags,
            *of_models(specs),
            *_doubts(found.severity, agreement, backend.spec(LUNG_OPACITY.name)),
            warnings.NO_CLASSIFIER,
        )
        models = [ModelUse.of(spec) for spec in specs]
        return to_analysis(
            found, PipelineUse(self.name, self.version, self.series_number), models, in_order(raised, self.flags)
        )

    def report(self, ct: CT, analysis: Analysis, step: Step) -> ReportBody:
        """What the report prints. step: called before each picture."""
        return pages.report(ct, analysis, step)


def _noise_floor(spec: ModelSpec) -> NoiseFloor | None:
    """What the model finds in normal lungs; None where it is not measured."""
    return None if spec.noise_floor is None else NoiseFloor(**spec.noise_floor)


def _lungs_and_opacities(
    ct: CT, backend: Backend, progress: Progress
) -> tuple[Lungs, NDArray[np.bool_], SelfAgreement]:
    """Lungs, opacities (slice, row, column) that may reach a voxel beyond the lungs, and how sure that is."""
    stage = "lungs and opacities"
    progress(stage, 0.0)  # before resampling, whose seconds are not those of reading
    spec = backend.spec(LUNG_OPACITY.name)
    answers = slice_answers(ct, backend, lambda done: progress(stage, 0.6 * done))
    with asking(backend, 1) as other:  # what follows leaves a core free
        in_mirror = other.submit(infer_slices, [mirrored(answers.grid)], spec, backend)
        lungs = lungs_of(ct, answers, backend, lambda done: progress(stage, 0.6 + 0.4 * done))
        found = find_opacities(answers.grid.with_array(answers.opacity), lungs.on_model, ct.volume)
        lung_again, opacity_again = in_mirror.result()
    agreement = self_agreement((answers.lung, lung_again), (answers.opacity, opacity_again), lungs.on_model)
    progress(stage, 1.0)
    return lungs, found, agreement


def _doubts(found: Severity, agreement: SelfAgreement, spec: ModelSpec) -> Iterator[Flag]:
    """What the reader has to know about this result."""
    if spec.noise_floor is None:
        yield warnings.NO_NOISE_FLOOR
    if found.total is None:
        yield warnings.LOBE_MISSING
    if found.within_normal:
        yield warnings.TRACE_OPACITY
    if agreement.lungs < AGREEMENT_LUNGS or agreement.opacities < AGREEMENT_OPACITIES:
        yield warnings.LOW_AGREEMENT
