"""All evidence of one analysis."""

from collections.abc import Iterator, Sequence

import highdicom as hd

from service.domain import codes
from service.domain.ct import CT
from service.domain.findings import Analysis
from service.evidence.capture import report_capture
from service.evidence.case import Case, Filed
from service.evidence.context import (
    CAPTURE,
    DEFAULT_STYLE,
    FINDINGS,
    LOBES,
    MEASUREMENTS,
    REPORT,
    REPORT_DICOM,
    STUDY,
    Evidence,
    EvidenceContext,
    Product,
    Style,
)
from service.evidence.encapsulate import EncapsulatedPdf
from service.evidence.equipment import contributing_equipment
from service.evidence.report import report_pdf
from service.evidence.seal import seal
from service.evidence.seg import findings_seg, lobes_seg
from service.evidence.sr_measurements import measurements_sr
from service.evidence.sr_study import study_sr


def encode(
    ct: CT,
    analysis: Analysis,
    context: EvidenceContext,
    styles: Sequence[Style] = (DEFAULT_STYLE,),
    capture: bool = False,
) -> tuple[Evidence, ...]:
    """SEGs, SRs and report, in the order to send them: what is referred to comes first.

    The same arguments give the same bytes. There is no lobes or findings SEG where there would be no segment, and no
    measurements SR where there is neither. SEGs and their SR come once for each of `styles`, all else once.
    capture: also the report as a picture, for destinations that store no PDF.
    """
    case = Case.of(ct, analysis, context)
    regions = [item for style in dict.fromkeys(styles) for item in _regions(case.styled(style))]
    return (*regions, *_whole(case, capture))


def _regions(case: Case) -> Iterator[Evidence]:
    """What depends on the style."""
    lobes, findings = lobes_seg(case), findings_seg(case)
    measurements = measurements_sr(case, lobes, findings)
    for product, dataset in ((LOBES, lobes), (FINDINGS, findings), (MEASUREMENTS, measurements)):
        if dataset is not None:
            yield finished(product, dataset, case, case.style)


def _whole(case: Case, capture: bool) -> Iterator[Evidence]:
    """What belongs to every style."""
    pdf = report_pdf(case)
    yield finished(STUDY, study_sr(case), case)
    models = contributing_equipment(case.analysis)
    yield finished(REPORT_DICOM, EncapsulatedPdf(pdf, case, REPORT_DICOM, codes.PDF_TITLE, models), case)
    if capture:
        yield finished(CAPTURE, report_capture(pdf, case), case)
    yield Evidence(REPORT.kind, REPORT.file_name, pdf, None, None)


def finished(product: Product, dataset: hd.SOPClass, case: Filed, style: Style | None = None) -> Evidence:
    """The file of one object."""
    content = seal(dataset, case.context.at, case.header, case.uids)
    name = product.file_name_in(style)
    uids = (str(dataset.SOPClassUID), str(dataset.SOPInstanceUID))
    return Evidence(product.kind, name, content, *uids, style, str(dataset.SeriesInstanceUID))
