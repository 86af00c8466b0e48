"""Basic Text SR (PS3.3 A.35.1): sentences in a plain tree, which every viewer of reports shows."""

from collections.abc import Sequence

import highdicom as hd
from highdicom import sr
from pydicom.sr.coding import Code
from pydicom.uid import BasicTextSRStorage

from service.domain import codes
from service.evidence import equipment
from service.evidence.case import Filed
from service.evidence.context import Product
from service.evidence.series import series
from service.evidence.sr import english, observer, predecessors, private_scheme

CONTAINS = sr.RelationshipTypeValues.CONTAINS


class BasicTextSR(sr.EnhancedSR):
    """highdicom has no class for this IOD; its modules are those of Enhanced SR, its value types fewer."""

    def __init__(
        self,
        case: Filed,
        product: Product,
        title: Code,
        content: Sequence[sr.ContentItem],
        contributing_equipment: Sequence[hd.ContributingEquipment] = (),
    ) -> None:
        super().__init__(
            evidence=case.sources,
            content=_root(case, title, content),
            is_complete=True,
            is_final=False,
            is_verified=False,
            previous_versions=predecessors(case.context) or None,
            contributing_equipment=contributing_equipment,
            **series(case, product),
            **equipment.equipment(case.context),
        )
        self.SOPClassUID = self.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
        self.CodingSchemeIdentificationSequence = [private_scheme()]


def _root(case: Filed, title: Code, content: Sequence[sr.ContentItem]) -> sr.ContainerContentItem:
    """Language, observer and use limitation come first."""
    limitation = sr.CodeContentItem(codes.USE_LIMITATION, codes.RESEARCH_USE, CONTAINS)
    root = sr.ContainerContentItem(title, is_content_continuous=False)
    root.ContentSequence = sr.ContentSequence([*english(), *observer(case.context), limitation, *content])
    return root


def section(title: Code, content: Sequence[sr.ContentItem]) -> sr.ContainerContentItem:
    """A heading with what stands below it."""
    container = sr.ContainerContentItem(title, is_content_continuous=False, relationship_type=CONTAINS)
    container.ContentSequence = sr.ContentSequence(list(content))
    return container


def text(concept: Code, value: str) -> sr.TextContentItem:
    """One named text."""
    return sr.TextContentItem(concept, value, CONTAINS)
