"""The pipeline: lungs and lobes as of every pipeline, then what their attenuation tells; no network of its own."""

from collections.abc import Collection, Iterator

from service.domain.analysis import Analysis, LabelMapKind, ModelUse, PipelineUse
from service.domain.ct import CT
from service.domain.eligibility import Limits
from service.domain.flags import LUNG_ADDED, Flag, in_order
from service.domain.model_roles import Role
from service.domain.pipeline import ComparisonRules, Drift
from service.domain.ports import Backend, Progress, Step
from service.domain.report import ReportBody
from service.pipelines.lung_density import flags as warnings
from service.pipelines.lung_density import report as pages
from service.pipelines.lung_density import segments
from service.pipelines.lung_density.acquisition import doubts, preference
from service.pipelines.lung_density.breath import breath
from service.pipelines.lung_density.capacity import capacity
from service.pipelines.lung_density.compared import RULES
from service.pipelines.lung_density.measure import measure
from service.pipelines.lung_density.result import Measured, to_analysis
from service.pipelines.lung_density.trachea import trachea_air
from service.pipelines.shared import lobe_segments
from service.pipelines.shared.flags import of_models
from service.pipelines.shared.lobes import lobes_of
from service.pipelines.shared.lungs import OPTIONAL, lungs_of, slice_answers
from service.pipelines.shared.model_roles import LOBES, LUNG_OPACITY


class LungDensity:
    """Low and high attenuation, percentile and mean density."""

    name: str = "lung-density"
    version: str = "1.0"
    title: str = "Lung and lobe density: LAA-950, Perc15, mean, high attenuation"
    models: tuple[Role, ...] = (LUNG_OPACITY, LOBES)
    optional_models: tuple[Role, ...] = OPTIONAL
    limits: Limits = Limits()
    flags: tuple[Flag, ...] = warnings.FLAGS
    label_maps: tuple[LabelMapKind, ...] = (lobe_segments.KIND, segments.KIND)
    series_number: int = 49000
    drift: tuple[Drift, ...] = (
        Drift("pd15_g_per_l", "15th percentile lung density in g/L"),
        Drift("haa_percent", "High attenuation area in percent of the lungs"),
    )
    comparison: ComparisonRules = RULES

    def preference(self, kernels: tuple[str, ...], thickness_mm: float | None) -> int:
        """Soft kernels, then unknown ones, then sharp ones; those with slices above 2 mm come last."""
        return preference(kernels, thickness_mm)

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        """Rejected with NO_LUNG, TRUNCATED or LUNG_LOST; what the back end raises passes through."""
        progress("lungs", 0.0)  # before resampling, whose seconds are not those of reading
        answers = slice_answers(ct, backend, lambda done: progress("lungs", 0.7 * done))
        lungs = lungs_of(ct, answers, backend, lambda done: progress("lungs", 0.7 + 0.3 * done))
        lobe_mask = lobes_of(ct, lungs, backend, progress)
        progress("measure", 0.0)
        found = Measured(
            lobe_mask=lobe_mask,
            areas=segments.label_map(ct.volume.array, lobe_mask),
            voxel_ml=ct.voxel_ml,
            regions=measure(ct.volume.array, lobe_mask, ct.voxel_ml),
            capacity=capacity(ct.headers, lungs.flags),
            air=trachea_air(ct.volume, answers.grid, lungs.on_model.array),
        )
        progress("measure", 1.0)
        specs = [backend.spec(role.name) for role in (LUNG_OPACITY, *OPTIONAL, LOBES) if backend.has(role.name)]
        raised = (
            *doubts(ct, found.air),
            *breath(ct.headers[0], found.part_of_capacity),
            *ct.flags,
            *lungs.flags,
            *of_models(specs),
            *_regions(found, lungs.flags),
        )
        models = [ModelUse.of(spec) for spec in specs]
        return to_analysis(
            found, PipelineUse(self.name, self.version, self.series_number), models, in_order(raised, self.flags)
        )

    def report(self, ct: CT, analysis: Analysis, step: Step) -> ReportBody:
        """What the report prints. step: called before each picture."""
        return pages.report(ct, analysis, step)


def _regions(found: Measured, flags: Collection[Flag]) -> Iterator[Flag]:
    """What this result lacks, and what it has too much. flags: of the lungs."""
    if found.capacity.predicted_ml is None:
        yield warnings.NOT_ADJUSTED.because(found.capacity.why_not)
    if LUNG_ADDED in flags:
        yield warnings.TISSUE_ADDED
    if any(region.attenuation is None for region in found.regions.lobes.values()):
        yield warnings.LOBE_UNMEASURED
