"""The pipeline: lungs and lobes, lesions in 3D patches, their class where a classifier is installed, and a rank."""

from collections.abc import Iterator

from service.domain.analysis import Analysis, LabelMapKind, ModelUse, PipelineUse
from service.domain.ct import CT
from service.domain.eligibility import Limits
from service.domain.flags import Flag, in_order
from service.domain.model_roles import Role
from service.domain.model_spec import ModelSpec
from service.domain.pipeline import ComparisonRules, Drift
from service.domain.ports import Backend, Progress, Step
from service.domain.report import ReportBody
from service.imaging.lungs import HALF, Lungs
from service.pipelines.covid_triage import flags as warnings
from service.pipelines.covid_triage import report as pages
from service.pipelines.covid_triage import segments
from service.pipelines.covid_triage.compared import RULES
from service.pipelines.covid_triage.failures import known_failures
from service.pipelines.covid_triage.infection import MOST_CLASSIFIED, classified
from service.pipelines.covid_triage.lesions import find_lesions
from service.pipelines.covid_triage.lung_grid import LungGrid, lung_grid
from service.pipelines.covid_triage.model_roles import LESION, TRIAGE_INFECTION, TRIAGE_LESION
from service.pipelines.covid_triage.patches import infer_patches
from service.pipelines.covid_triage.result import Found, to_analysis
from service.pipelines.shared import lobe_segments
from service.pipelines.shared.flags import of_models
from service.pipelines.shared.lobes import lobes_of
from service.pipelines.shared.lungs import OPTIONAL, lungs_of, slice_answers
from service.pipelines.shared.measure import measure, split_by_attenuation
from service.pipelines.shared.model_roles import LOBES, LUNG_OPACITY
from service.pipelines.shared.reliability import reliability
from service.pipelines.shared.slices import Probabilities, centred


class CovidTriage:
    """Lung lesions and how early the CT is to be read."""

    name: str = "covid-triage"
    version: str = "1.0"
    title: str = "Lung lesions in 3D, infection probability (optional, experimental), rank on the worklist"
    models: tuple[Role, ...] = (LUNG_OPACITY, LOBES, TRIAGE_LESION)
    optional_models: tuple[Role, ...] = (*OPTIONAL, TRIAGE_INFECTION)
    limits: Limits = Limits()
    flags: tuple[Flag, ...] = warnings.FLAGS
    label_maps: tuple[LabelMapKind, ...] = (lobe_segments.KIND, segments.KIND)
    series_number: int = 29000
    drift: tuple[Drift, ...] = (
        Drift("lesion_percent", "Lung lesions in percent of the lungs"),
        Drift("lesion_count", "Number of lung lesions"),
    )
    comparison: ComparisonRules = RULES

    def preference(self, kernels: tuple[str, ...], thickness_mm: float | None) -> int:
        """Any reconstruction is as good as another."""
        return 0

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        """Rejected with NO_LUNG, TRUNCATED or LUNG_LOST; what the back end raises passes through."""
        progress("lungs", 0.0)  # before resampling, whose seconds are not those of reading
        answers = slice_answers(ct, backend, lambda done: progress("lungs", 0.7 * done))
        lungs = lungs_of(ct, answers, backend, lambda done: progress("lungs", 0.7 + 0.3 * done))
        lobe_mask = lobes_of(ct, lungs, backend, progress)
        grid, probability = _probability(ct, lungs, backend, progress)
        lesions = find_lesions(ct, grid.hu.with_array(probability), lobe_mask)
        progress("measure", 0.0)
        rows_mm, columns_mm = ct.volume.spacing[1:]
        kinds = split_by_attenuation(ct.volume.array, lesions.mask, (rows_mm, columns_mm))
        regions = measure(ct.volume.array, lobe_mask, kinds, ct.voxel_ml)
        progress("measure", 1.0)
        has_classifier = backend.has(TRIAGE_INFECTION.name)
        progress("infection", 0.0)
        said = None
        if has_classifier:
            said = classified(ct, grid, lesions, backend, lambda done: progress("infection", done))
        progress("infection", 1.0)
        found = Found(lobe_mask, lesions, regions, ct.voxel_ml, has_classifier, said)
        dense = tuple(_dense_lung(grid, probability))
        specs = [backend.spec(role.name) for role in (*self.models, *self.optional_models) if backend.has(role.name)]
        raised = (
            *ct.flags,
            *lungs.flags,
            *of_models(specs),
            *known_failures(ct, lobe_mask > 0, lesions.every, regions),
            *(dense or _of_numbers(found, backend.spec(TRIAGE_LESION.name))),
        )
        use = PipelineUse(self.name, self.version, self.series_number)
        return to_analysis(found, use, [ModelUse.of(spec) for spec in specs], in_order(raised, self.flags))

    def report(self, ct: CT, analysis: Analysis, step: Step) -> ReportBody:
        """What the report prints. step: called before each picture."""
        return pages.report(ct, analysis, step)


def _probability(ct: CT, lungs: Lungs, backend: Backend, progress: Progress) -> tuple[LungGrid, Probabilities]:
    """The models' grid, and the probability of lesion at each of its voxels: UINT8, 128 = threshold."""
    progress("lesions", 0.0)
    spec = backend.spec(TRIAGE_LESION.name)
    grid = lung_grid(ct, lungs)
    progress("lesions", 0.1)
    said = infer_patches(grid.hu.array, grid.inside, spec, backend, lambda done: progress("lesions", 0.1 + 0.9 * done))
    return grid, centred(said, spec.thresholds[LESION])


def _dense_lung(grid: LungGrid, probability: Probabilities) -> Iterator[Flag]:
    """Where covid-severity and covid-burden give no number either; here no second network has an opinion."""
    found = (probability >= HALF) & grid.inside
    why_not = reliability(grid.hu.array, grid.inside, found, grid.hu.spacing, agreement=1.0).why_not
    if why_not:
        yield warnings.DENSE_LUNG.because(why_not)


def _of_numbers(found: Found, spec: ModelSpec) -> Iterator[Flag]:
    """What the reader has to know about the numbers that are given."""
    normal = spec.measured.get("normal_percent")
    if normal is not None and 0.0 < found.lesion_percent <= normal:
        yield warnings.LESIONS_AS_NORMAL.because(f"In CTs without pneumonia up to {normal:g} % is found.")
    every = len(found.lesions.every)
    if found.has_classifier and every > MOST_CLASSIFIED:
        yield warnings.NOT_ALL_CLASSIFIED.because(f"{MOST_CLASSIFIED} of {every}.")
