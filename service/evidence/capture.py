"""The report as a Secondary Capture image (PS3.3 A.8.1), for a PACS that stores no PDF."""

from hashlib import sha256
from threading import Lock

import highdicom as hd
import numpy as np
import pypdfium2
from pydicom.valuerep import DA, TM

from service.domain.report import RgbArray
from service.evidence import equipment
from service.evidence.case import Case
from service.evidence.context import CAPTURE
from service.evidence.series import series, written_at
from service.evidence.source import patient_and_study, sop_reference

_PIXELS_PER_POINT = 150 / 72
_PDFIUM = Lock()
"""PDFium is not thread-safe."""


def report_capture(pdf: bytes, case: Case) -> hd.sc.SCImage:
    """The first page of `pdf` at 150 dpi.

    Its pixels are in its UIDs, because another machine's PDFium may round an edge otherwise.
    """
    pixels = _picture(pdf)
    header = case.header
    image = hd.sc.SCImage(
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        contributing_equipment=equipment.contributing_equipment(case.analysis),
        **series(case, CAPTURE, sha256(pixels.tobytes()).hexdigest()),
        **patient_and_study(header),
        **equipment.equipment(case.context),
    )
    image.copy_patient_and_study_information(header)
    image.PatientOrientation = []  # type 2C: highdicom wants one, but a page has none
    image.BodyPartExamined = "CHEST"
    image.ConversionType = "WSD"
    image.BurnedInAnnotation = "YES"
    at = written_at(case)
    image.DateOfSecondaryCapture = DA(at.date())
    image.TimeOfSecondaryCapture = TM(at.time())
    image.SourceImageSequence = [sop_reference(source) for source in case.sources]
    return image


def _picture(pdf: bytes) -> RgbArray:
    with _PDFIUM, pypdfium2.PdfDocument(pdf) as document:
        page = document[0].render(scale=_PIXELS_PER_POINT, rev_byteorder=True)
        return np.ascontiguousarray(page.to_numpy())
