"""All evidence of one analysis."""

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import highdicom as hd

from service.domain import codes
from service.domain.analysis import Analysis
from service.domain.ct import CT
from service.domain.ports import Step, no_step
from service.domain.report import ReportBody
from service.evidence.capture import report_capture
from service.evidence.case import Case, Filed
from service.evidence.context import (
    ALWAYS,
    AXES,
    CAPTURE,
    HEAT_MAP,
    MEASUREMENTS,
    REPORT,
    REPORT_DICOM,
    STRUCTURE_SET,
    STUDY,
    TEXT,
    Evidence,
    EvidenceContext,
    Product,
    Selection,
    Style,
    segmentation_products,
    selects,
)
from service.evidence.encapsulate import EncapsulatedPdf
from service.evidence.equipment import contributing_equipment
from service.evidence.heat_map import parametric_map
from service.evidence.report import report_pdf
from service.evidence.rtstruct import structure_set
from service.evidence.seal import seal
from service.evidence.seg import segmentation
from service.evidence.sr_axes import axes_sr
from service.evidence.sr_measurements import measurements_sr
from service.evidence.sr_study import study_sr
from service.evidence.sr_text import text_sr


def encode(
    ct: CT,
    analysis: Analysis,
    report: Callable[[], ReportBody],
    context: EvidenceContext,
    selections: Sequence[Selection] = (Selection(),),
    step: Step = no_step,
) -> tuple[Evidence, ...]:
    """SEGs, structure set, SRs, report, heat maps, in the order to send them: what is referred to first, the root last.

    The same arguments give the same bytes. There is no SEG and no structure set where there would be no segment, no
    measurements SR without a SEG, and none of axes without lines. SEGs and the SRs of their segments come once for each
    style; the study SR, which is the root, once for each selection that wants one, all else once.
    report: makes what the report prints, with its pictures; called beside the encoding of SEGs, in a thread.
    selections: what each destination gets. step: called between the objects.
    """
    with ThreadPoolExecutor(1) as beside:
        drawing = beside.submit(report)
        case = Case.of(ct, analysis, context)
        printing = beside.submit(lambda: report_pdf(case, drawing.result()))
        styles = dict.fromkeys(selection.style for selection in selections)
        parts = [item for style in styles for item in _regions(case.styled(style), step)]
        body, pdf = drawing.result(), printing.result()
    step()
    parts += _whole(case, body, pdf, frozenset().union(*(selection.kinds for selection in selections)), step)
    step()
    return (*parts, *_roots(case, parts, selections), Evidence(REPORT.kind, REPORT.file_name, pdf, None, None))


def _regions(case: Case, step: Step) -> Iterator[Evidence]:
    """What depends on the style."""
    label_maps = case.analysis.label_maps
    made: dict[Product, hd.seg.Segmentation] = {}
    for product, label_map in zip(segmentation_products(one.kind for one in label_maps), label_maps, strict=True):
        step()
        if (found := segmentation(product, case, label_map)) is not None:
            made[product] = found
    for product, found in made.items():
        step()
        yield finished(product, found, case, case.style)
    if made:
        step()
        uids = tuple(str(found.SOPInstanceUID) for found in made.values())
        document = measurements_sr(case, list(made.values()))
        yield replace(finished(MEASUREMENTS, document, case, case.style), refers_to=uids)
        if (axes := axes_sr(case, list(made.values()))) is not None:
            step()
            yield replace(finished(AXES, axes, case, case.style), refers_to=uids)


def _whole(case: Case, body: ReportBody, pdf: bytes, kinds: Collection[str], step: Step) -> Iterator[Evidence]:
    """What belongs to every style."""
    if STRUCTURE_SET.kind in kinds and (structures := structure_set(case, step)) is not None:
        yield finished(STRUCTURE_SET, structures, case)
        step()
    if TEXT.kind in kinds:
        yield finished(TEXT, text_sr(case, body), case)
    models = contributing_equipment(case.analysis)
    yield finished(REPORT_DICOM, EncapsulatedPdf(pdf, case, REPORT_DICOM, codes.PDF_TITLE, models), case)
    if HEAT_MAP.kind in kinds:
        for number, heat_map in enumerate(case.analysis.explanations):
            step()
            product = HEAT_MAP.named(heat_map.name, number)
            yield finished(product, parametric_map(product, case, heat_map), case)
    if CAPTURE.kind in kinds:
        yield finished(CAPTURE, report_capture(pdf, case), case)


def _roots(case: Case, parts: Sequence[Evidence], selections: Sequence[Selection]) -> Iterator[Evidence]:
    """One study SR for each set of objects that a destination gets; one also where no destination wants any."""
    wanted = [s for s in selections if STUDY.kind in s.kinds] or [replace(selections[0], kinds=ALWAYS)]
    chosen = {(s.style, _chosen(parts, s)): None for s in wanted}
    for style, members in chosen:
        own = case.styled(style)
        root = finished(STUDY, study_sr(own, members), own, style)
        name = root.file_name
        if members != tuple(part for part in parts if part.style in (None, style)):
            name = STUDY.file_name_of(style, dict.fromkeys(one.kind for one in members))
        yield replace(root, file_name=name, refers_to=tuple(str(one.sop_instance_uid) for one in members))


def _chosen(parts: Sequence[Evidence], selection: Selection) -> tuple[Evidence, ...]:
    return tuple(p for p in parts if selects(selection.kinds, p.kind) and p.style in (None, selection.style))


def finished(product: Product, dataset: hd.SOPClass, case: Filed, style: Style | None = None) -> Evidence:
    """The file of one object."""
    content = seal(dataset, case.context.analysed_at, case.header, case.uids)
    name = product.file_name_in(style)
    uids = (str(dataset.SOPClassUID), str(dataset.SOPInstanceUID))
    return Evidence(product.kind, name, content, *uids, style, str(dataset.SeriesInstanceUID))
