"""All evidence of one analysis."""

import highdicom as hd

from service.domain.ct import CT
from service.domain.findings import Analysis
from service.evidence.case import Case
from service.evidence.context import (
    FINDINGS,
    LOBES,
    MEASUREMENTS,
    REPORT,
    REPORT_DICOM,
    STUDY,
    Evidence,
    EvidenceContext,
    Product,
)
from service.evidence.encapsulate import EncapsulatedPdf
from service.evidence.report import report_pdf
from service.evidence.seal import seal
from service.evidence.seg import findings_seg, lobes_seg
from service.evidence.sr_measurements import measurements_sr
from service.evidence.sr_study import study_sr


def encode(ct: CT, analysis: Analysis, context: EvidenceContext) -> tuple[Evidence, ...]:
    """SEGs, SRs and report, in the order to send them: what is referred to comes first.

    The same arguments give the same bytes. There is no lobes or findings SEG where there would be no segment, and no
    measurements SR where there is neither.
    """
    case = Case.of(ct, analysis, context)
    lobes, findings = lobes_seg(case), findings_seg(case)
    pdf = report_pdf(case)
    objects = (
        (LOBES, lobes),
        (FINDINGS, findings),
        (MEASUREMENTS, measurements_sr(case, lobes, findings)),
        (STUDY, study_sr(case)),
        (REPORT_DICOM, EncapsulatedPdf(pdf, case)),
    )
    dicom = tuple(_evidence(product, dataset, case) for product, dataset in objects if dataset is not None)
    return (*dicom, Evidence(REPORT.kind, REPORT.file_name, pdf, None, None))


def _evidence(product: Product, dataset: hd.SOPClass, case: Case) -> Evidence:
    content = seal(dataset, case.context.at, case.header, case.uids)
    return Evidence(product.kind, product.file_name, content, str(dataset.SOPClassUID), str(dataset.SOPInstanceUID))
