"""The notice: why nothing of a study was analysed, for the radiologist who would wait for a result or miss one."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pydicom import Dataset

from service.domain import codes
from service.errors import Refusal
from service.evidence.context import NOTICE, NOTICE_PAGE, NOTICE_PAGE_DICOM, Evidence, EvidenceContext
from service.evidence.encapsulate import EncapsulatedPdf
from service.evidence.encode import finished
from service.evidence.refused import RefusedStudy
from service.evidence.report.notice_page import notice_pdf
from service.evidence.sr_notice import notice_sr

_UNCOUNTED: Mapping[str, int] = MappingProxyType({})


def encode_notice(
    headers: Sequence[Dataset],
    refusals: Mapping[str, Sequence[Refusal]],
    context: EvidenceContext,
    images: Mapping[str, int] = _UNCOUNTED,
) -> tuple[Evidence, ...]:
    """Structured report and page of a study of which nothing was analysed, in the order to send them.

    headers: one of each series, of a CT image where it has one; a series without any is listed by its UID.
    refusals, images: reasons and how many images there are, by Series Instance UID.

    The same arguments give the same bytes, other reasons other UIDs. Patient and study are those of one header, first
    of a CT (of any image, where no series is a CT) that has a Patient ID; without any the notice is filed under an
    empty one, as the CT is. Rejected where no such header tells study, series, instance and SOP class, or where the
    headers tell of several studies or patients: then there is no notice.
    """
    study = RefusedStudy.of(headers, refusals, images, context)
    pdf = notice_pdf(study)
    page = EncapsulatedPdf(pdf, study, NOTICE_PAGE_DICOM, codes.NOT_ANALYSED)
    return (
        finished(NOTICE, notice_sr(study), study),
        finished(NOTICE_PAGE_DICOM, page, study),
        Evidence(NOTICE_PAGE.kind, NOTICE_PAGE.file_name, pdf, None, None),
    )
