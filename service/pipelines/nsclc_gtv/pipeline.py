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
from service.domain.rounding import millilitres_text, percent_text
from service.pipelines.nsclc_gtv import flags as warnings
from service.pipelines.nsclc_gtv import report as pages
from service.pipelines.nsclc_gtv import segments
from service.pipelines.nsclc_gtv.anatomy import Anatomy, anatomy_in_chest, anatomy_of
from service.pipelines.nsclc_gtv.compared import RULES
from service.pipelines.nsclc_gtv.field_answers import FieldAnswers, field_answers, rule_of
from service.pipelines.nsclc_gtv.findings import Findings, find_tumours
from service.pipelines.nsclc_gtv.found import Found
from service.pipelines.nsclc_gtv.measure import Measured, measured
from service.pipelines.nsclc_gtv.model_roles import LUNG_TUMOUR
from service.pipelines.nsclc_gtv.result import to_analysis
from service.pipelines.nsclc_gtv.whereabouts import SHARE_TOLD, right_part_by_spine
from service.pipelines.shared import lobe_segments
from service.pipelines.shared.flags import LOBES_APPROXIMATE, of_models
from service.pipelines.shared.lungs import OPTIONAL
from service.pipelines.shared.model_roles import LOBES, LUNG_OPACITY

BEYOND_MM = 150.0
"""A CT of the chest reaches so far beyond the lungs at most: to the chin, and to the kidneys."""

CUT_PART = 0.02
"""Part of the outlines on the border of the searched field from which on it is told."""

AS_LARGE = 0.5
"""Part of the volume of the largest finding from which on a candidate is told to be nearly as large."""


LEFT_OUT_TOLD_ML = 0.1
"""Parts that are no finding are counted in every result; from this volume of all of them on a reader is warned."""


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
        raised = (*ct.flags, *_of_findings(findings, told), *_of_field(answers, findings), *_of_anatomy(anatomy, specs))
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


def _rest_sides(ct: CT, findings: Findings, answers: FieldAnswers) -> tuple[bool, bool]:
    """Whether any finding that is not told lies in the right lung, and whether any lies in the left one."""
    parts = [right_part_by_spine(ct, one, answers.grid) for one in findings.rest]
    return any(part >= SHARE_TOLD for part in parts), any(1 - part >= SHARE_TOLD for part in parts)


def _of_findings(findings: Findings, told: Sequence[Measured]) -> Iterator[Flag]:
    """What the reader has to know about the findings."""
    if cut := [one.title for one in told if one.at_edge]:
        yield warnings.TUMOUR_AT_EDGE.because(f"{', '.join(cut)}.")
    if len(told) > 1:
        count = len(findings.every) - 1
        yield warnings.CANDIDATES.because(f"{count} beside GTV-1.")
        if told[1].volume_ml >= AS_LARGE * told[0].volume_ml:
            both = " and ".join(f"{millilitres_text(one.volume_ml)} mL" for one in told[:2])
            yield warnings.CANDIDATE_AS_LARGE.because(f"{both}.")
    if findings.left_out_ml >= LEFT_OUT_TOLD_ML:
        yield warnings.PARTS_LEFT_OUT.because(
            f"{findings.left_out}, together {millilitres_text(findings.left_out_ml)} mL."
        )


def _of_field(answers: FieldAnswers, findings: Findings) -> Iterator[Flag]:
    """What the reader has to know about where was searched."""
    if findings.every and answers.cut_part >= CUT_PART:
        yield warnings.FIELD_CUTS_TUMOUR.because(f"{percent_text(100 * answers.cut_part)} % of the outlines.")
    above_mm, below_mm = answers.beyond_mm
    if max(above_mm, below_mm) > BEYOND_MM:
        yield warnings.BEYOND_CHEST.because(f"{above_mm:.0f} mm above it, {below_mm:.0f} mm below it were left out.")


def _of_anatomy(anatomy: Anatomy, specs: Sequence[ModelSpec]) -> Iterator[Flag]:
    """Warnings of lungs and models; lobes that are not told are not approximate either."""
    yield from anatomy.flags
    lobes_told = anatomy.lobe_mask is not None
    yield from (flag for flag in of_models(specs) if lobes_told or flag != LOBES_APPROXIMATE)
