"""The pipeline: the lung field, the network's outlines, findings by volume, and what is measured of each."""

from collections.abc import Iterator, Sequence

from service.domain.analysis import Analysis, LabelMapKind, ModelUse, PipelineUse
from service.domain.ct import CT
from service.domain.eligibility import Limits
from service.domain.flags import Flag, in_order
from service.domain.model_roles import Role
from service.domain.model_spec import ModelSpec
from service.domain.pipeline import ComparisonRules, Drift
from service.domain.ports import Backend, Progress, Step
from service.domain.report import ReportBody
from service.pipelines.nsclc_gtv import flags as warnings
from service.pipelines.nsclc_gtv import report as pages
from service.pipelines.nsclc_gtv import segments
from service.pipelines.nsclc_gtv.anatomy import Anatomy, anatomy_in_chest, anatomy_of
from service.pipelines.nsclc_gtv.compared import RULES
from service.pipelines.nsclc_gtv.field_answers import FieldAnswers, field_answers, rule_of
from service.pipelines.nsclc_gtv.findings import Findings, find_tumours
from service.pipelines.nsclc_gtv.found import Found
from service.pipelines.nsclc_gtv.measure import measured
from service.pipelines.nsclc_gtv.model_roles import LUNG_TUMOUR
from service.pipelines.nsclc_gtv.raised import BEYOND_MM, raised_by
from service.pipelines.nsclc_gtv.result import to_analysis
from service.pipelines.nsclc_gtv.sides import Side, sides_by_part
from service.pipelines.nsclc_gtv.whereabouts import right_part_by_spine
from service.pipelines.shared import lobe_segments
from service.pipelines.shared.flags import LOBES_APPROXIMATE, of_models
from service.pipelines.shared.lungs import OPTIONAL
from service.pipelines.shared.model_roles import LOBES, LUNG_OPACITY


class NsclcGtv:
    """Suspected lung tumours: outlined, measured, and the largest named GTV-1."""

    name: str = "nsclc-gtv"
    version: str = "1.0"
    title: str = "Suspected lung tumours: outline (GTV), volume, RECIST diameters, lobe"
    models: tuple[Role, ...] = (LUNG_TUMOUR, LUNG_OPACITY, LOBES)
    optional_models: tuple[Role, ...] = OPTIONAL
    limits: Limits = Limits(min_slices=20, max_thickness_mm=10.0)
    flags: tuple[Flag, ...] = warnings.FLAGS
    label_maps: tuple[LabelMapKind, ...] = (lobe_segments.KIND, segments.KIND)
    series_number: int = 59000
    drift: tuple[Drift, ...] = (
        Drift("finding_count", "Number of suspected lung tumours"),
        Drift("gtv_ml", "Volume of the largest suspected lung tumour in mL"),
    )
    comparison: ComparisonRules = RULES

    def preference(self, kernels: tuple[str, ...], thickness_mm: float | None) -> int:
        """Any reconstruction is as good as another."""
        return 0

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        """Rejected with NO_LUNG where there is no lung field; what the back end raises passes through."""
        progress("tumour", 0.0)
        spec = backend.spec(LUNG_TUMOUR.name)
        answers, rule = field_answers(ct, spec, backend, lambda done: progress("tumour", done)), rule_of(spec)
        anatomy = _anatomy(ct, answers, backend, progress)
        progress("measure", 0.0)
        findings = find_tumours(ct, answers.probability, rule)
        told = tuple(measured(ct, one, anatomy.lobe_mask, answers.grid) for one in findings.told)
        found = Found(
            findings=findings,
            measured=told,
            rest_sides=_rest_sides(ct, findings, answers),
            lobe_mask=anatomy.lobe_mask,
            searched_ml=answers.searched_ml,
            voxel_ml=ct.voxel_ml,
            rule=rule,
        )
        progress("measure", 1.0)
        specs = [backend.spec(role.name) for role in (*self.models, *self.optional_models) if backend.has(role.name)]
        raised = (*ct.flags, *raised_by(ct, found, answers), *_of_anatomy(anatomy, specs))
        use = PipelineUse(self.name, self.version, self.series_number)
        return to_analysis(found, use, [ModelUse.of(one) for one in specs], in_order(raised, self.flags))

    def report(self, ct: CT, analysis: Analysis, step: Step) -> ReportBody:
        """What the report prints. step: called before each picture."""
        return pages.report(ct, analysis, step)


def _anatomy(ct: CT, answers: FieldAnswers, backend: Backend, progress: Progress) -> Anatomy:
    """Lungs and lobes; of a CT that reaches far beyond the chest they are sought there alone."""
    if max(answers.beyond_mm) > BEYOND_MM:
        return anatomy_in_chest(ct, answers.grid, backend, progress)
    return anatomy_of(ct, backend, progress)


def _rest_sides(ct: CT, findings: Findings, answers: FieldAnswers) -> frozenset[Side]:
    """Sides of the spine on which any finding lies that is not told."""
    sides = (sides_by_part(right_part_by_spine(ct, one, answers.grid)) for one in findings.rest)
    return frozenset[Side]().union(*sides)


def _of_anatomy(anatomy: Anatomy, specs: Sequence[ModelSpec]) -> Iterator[Flag]:
    """Warnings of lungs and models; lobes that are not told are not approximate either."""
    yield from anatomy.flags
    lobes_told = anatomy.lobe_mask is not None
    yield from (flag for flag in of_models(specs) if lobes_told or flag != LOBES_APPROXIMATE)
