"""A page as an Encapsulated PDF (PS3.3 A.45.1)."""

from collections.abc import Sequence

import highdicom as hd
from pydicom.sr.coding import Code
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian
from pydicom.valuerep import DT

from service.evidence import equipment
from service.evidence.case import Filed
from service.evidence.context import Product
from service.evidence.series import series
from service.evidence.source import patient_and_study, sop_reference


class EncapsulatedPdf(hd.SOPClass):
    """highdicom has no class for this IOD; patient and study attributes are copied as it does for SEG and SR."""

    def __init__(
        self,
        pdf: bytes,
        case: Filed,
        product: Product,
        title: Code,
        contributing_equipment: Sequence[hd.ContributingEquipment] = (),
    ) -> None:
        header = case.header
        super().__init__(
            sop_class_uid=EncapsulatedPDFStorage,
            modality="DOC",
            transfer_syntax_uid=ExplicitVRLittleEndian,
            **series(case, product),
            **patient_and_study(header),
            **equipment.equipment(case.context),
        )
        self.copy_patient_and_study_information(header)
        self._add_contributing_equipment(contributing_equipment, header)
        self._add_document(pdf, case, product, title)

    def _add_document(self, pdf: bytes, case: Filed, product: Product, title: Code) -> None:
        """SC Equipment and Encapsulated Document modules (PS3.3 C.8.6.1, C.24.2)."""
        self.ConversionType = "WSD"
        self.BurnedInAnnotation = "YES"
        # Type 2: empty where the CT does not say.
        self.AcquisitionDateTime = DT(case.acquired) if case.acquired else None
        self.SourceInstanceSequence = [sop_reference(header) for header in case.sources]
        self.DocumentTitle = self.SeriesDescription
        self.ConceptNameCodeSequence = [hd.sr.CodedConcept.from_code(title)]
        self.VerificationFlag = "UNVERIFIED"
        self.MIMETypeOfEncapsulatedDocument = "application/pdf"
        self.EncapsulatedDocumentLength = len(pdf)
        self.EncapsulatedDocument = pdf if len(pdf) % 2 == 0 else pdf + b"\0"
