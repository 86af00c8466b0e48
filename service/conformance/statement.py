"""The whole statement, in the order of PS3.2 (Annex A, as editions up to 2022 have it)."""

from collections.abc import Sequence

from service.conformance.character_sets import character_sets
from service.conformance.configuration import configuration, interfaces
from service.conformance.ihe import ihe
from service.conformance.implementation_model import implementation_model
from service.conformance.objects import objects
from service.conformance.overview import overview
from service.conformance.receiver import receiver
from service.conformance.rows import Section
from service.conformance.security import security
from service.conformance.sender import sender
from service.conformance.terminology import terminology
from service.settings import Settings


def sections(settings: Settings, here: bool = True) -> Sequence[Section]:
    """All sections of this version and configuration. here: with what holds for this machine alone."""
    annexes = objects(settings)
    return (
        overview(),
        implementation_model(),
        Section("3. Application entities", [*receiver(settings.receiver), *sender(settings.destinations)]),
        interfaces(),
        configuration(settings),
        Section("6. Media storage", ["None: the service reads and writes no media."]),
        Section("7. Transformation of DICOM to CDA", ["None."]),
        character_sets(),
        security(settings, here),
        Section(annexes.title, [*annexes.parts, *terminology()]),
        ihe(),
    )


def statement(settings: Settings, here: bool = True) -> str:
    """The statement as Markdown, as `sections`. Links lead to pages beside docs/reference/conformance.md."""
    return "\n\n".join(["# DICOM conformance statement", *(one.markdown for one in sections(settings, here))]) + "\n"
