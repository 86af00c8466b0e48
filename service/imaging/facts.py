"""What routing rules look at, from the header of one series."""

from collections.abc import Iterator
from datetime import datetime

from pydicom import Dataset

from service.domain.routing import StudyFacts
from service.imaging.attributes import items, known_text
from service.imaging.gate.patient import youngest_age

_PROCEDURES = ("ProcedureCodeSequence", "RequestedProcedureCodeSequence", "PerformedProtocolCodeSequence")


def series_facts(
    header: Dataset, calling_ae: str, called_ae: str, received_at: datetime, pipeline: str = ""
) -> StudyFacts:
    """Facts of a series; an empty header gives those of the association alone. received_at: aware."""
    return StudyFacts(
        calling_ae=calling_ae,
        called_ae=called_ae,
        station=known_text(header, "StationName"),
        descriptions=tuple(known_text(header, name) for name in ("StudyDescription", "SeriesDescription")),
        body_part=known_text(header, "BodyPartExamined"),
        received_at=received_at.astimezone(),
        kernels=tuple(filter(None, [known_text(header, "ConvolutionKernel")])),
        contrast=tuple(filter(None, [known_text(header, "ContrastBolusAgent")])),
        procedures=tuple(_procedures(header)),
        age_years=youngest_age([header]),
        pipeline=pipeline,
    )


def _procedures(header: Dataset) -> Iterator[str]:
    """Codes and meanings of the requested and the performed procedure, and the description of the requested one."""
    for keyword in _PROCEDURES:
        for item in items(header, keyword):
            yield from filter(None, (known_text(item, name) for name in ("CodeValue", "CodeMeaning")))
    if description := known_text(header, "RequestedProcedureDescription"):
        yield description
