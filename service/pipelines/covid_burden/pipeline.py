"""The pipeline: lungs and five lobes, opacities seen with the slices around, and the pneumonia burden (paper C)."""

from collections.abc import Iterator

from service.domain.analysis import Analysis, LabelMapKind, ModelUse, PipelineUse
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.domain.eligibility import Limits
from service.domain.flags import Flag, in_order
from service.domain.model_roles import Role
from service.domain.model_spec import ModelSpec
from service.domain.pipeline import ComparisonRules, Drift
from service.domain.ports import Backend, Progress, Step
from service.domain.report import ReportBody
from service.pipelines.covid_burden import flags as warnings
from service.pipelines.covid_burden import report as pages
from service.pipelines.covid_burden.compared import RULES
from service.pipelines.covid_burden.result import Measured, to_analysis
from service.pipelines.shared import lobe_segments, opacity_segments
from service.pipelines.shared.flags import NOT_RELIABLE, of_models
from service.pipelines.shared.lobes_and_opacities import lobes_and_opacities
from service.pipelines.shared.lungs import OPTIONAL, lungs_of, slice_answers
from service.pipelines.shared.measure import measure, split_by_attenuation
from service.pipelines.shared.model_roles import LOBES, LUNG_OPACITY, OPACITY_CONTEXT


class CovidBurden:
    """Ground-glass and high opacity in percent of the lungs."""

    name: str = "covid-burden"
    version: str = "1.0"
    title: str = "Lungs, lobes, ground-glass and high opacity, and the pneumonia burden (%)"
    models: tuple[Role, ...] = (LUNG_OPACITY, LOBES, OPACITY_CONTEXT)
    optional_models: tuple[Role, ...] = OPTIONAL
    limits: Limits = Limits()
    flags: tuple[Flag, ...] = warnings.FLAGS
    label_maps: tuple[LabelMapKind, ...] = (lobe_segments.KIND, opacity_segments.KIND)
    series_number: int = 19000
    drift: tuple[Drift, ...] = (Drift("burden_percent", "Pneumonia burden in percent of the lungs"),)
    comparison: ComparisonRules = RULES

    def preference(self, kernels: tuple[str, ...], thickness_mm: float | None) -> int:
        """Any reconstruction is as good as another."""
        return 0

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        """Rejected with NO_LUNG, TRUNCATED or LUNG_LOST; what the back end raises passes through."""
        progress("lungs", 0.0)  # before resampling, whose seconds are not those of reading
        answers = slice_answers(ct, backend, lambda done: progress("lungs", 0.7 * done))
        lungs = lungs_of(ct, answers, backend, lambda done: progress("lungs", 0.7 + 0.3 * done))
        lobe_mask, seen = lobes_and_opacities(ct, answers, lungs, backend, progress)
        progress("measure", 0.0)
        rows_mm, columns_mm = ct.volume.spacing[1:]
        opacity_mask = split_by_attenuation(ct.volume.array, seen.opacity, (rows_mm, columns_mm))
        progress("measure", 0.5)
        regions = measure(ct.volume.array, lobe_mask, opacity_mask, ct.voxel_ml)
        progress("measure", 1.0)
        roles = (LUNG_OPACITY, *OPTIONAL, LOBES, OPACITY_CONTEXT)
        specs = [backend.spec(role.name) for role in roles if backend.has(role.name)]
        found = Measured(lobe_mask, opacity_mask, ct.voxel_ml, regions, seen.reliability)
        raised = (*ct.flags, *lungs.flags, *of_models(specs), *_doubts(found, backend.spec(OPACITY_CONTEXT.name)))
        models = [ModelUse.of(spec) for spec in specs]
        return to_analysis(
            found, PipelineUse(self.name, self.version, self.series_number), models, in_order(raised, self.flags)
        )

    def report(self, ct: CT, analysis: Analysis, step: Step) -> ReportBody:
        """What the report prints. step: called before each picture."""
        return pages.report(ct, analysis, step)


def _doubts(found: Measured, spec: ModelSpec) -> Iterator[Flag]:
    """What the reader has to know about this result."""
    why_not = found.reliability.why_not
    if why_not:
        yield NOT_RELIABLE.because(why_not)
    if any(found.regions.lobes[lobe].volume_ml == 0.0 for lobe in Lobe):
        yield warnings.LOBE_NOT_FOUND
    normal = spec.measured.get("normal_percent")
    if normal is not None and not why_not and 0.0 < found.burden_percent <= normal:
        yield warnings.WITHIN_NORMAL.because(f"In CTs without pneumonia up to {normal:g} % is found.")
