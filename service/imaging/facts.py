"""What routing rules look at, from the header of one series."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from pydicom import Dataset

from service.domain.routing import StudyFacts
from service.imaging.attributes import Unreadable, items, known_text, texts
from service.imaging.contrast import contrast_given
from service.imaging.gate.patient import youngest_age

_PROCEDURES = ("ProcedureCodeSequence", "RequestedProcedureCodeSequence", "PerformedProtocolCodeSequence")


def series_facts(
    header: Dataset, calling_ae: str, called_ae: str, received_at: datetime, pipeline: str = ""
) -> StudyFacts:
    """Facts of a series; an empty header gives those of the association alone. received_at: aware.

    A malformed attribute is one that is not there: the gate refuses its series by name where it matters.
    """
    return StudyFacts(
        calling_ae=calling_ae,
        called_ae=called_ae,
        station=known_text(header, "StationName"),
        descriptions=tuple(known_text(header, name) for name in ("StudyDescription", "SeriesDescription")),
        body_part=known_text(header, "BodyPartExamined"),
        received_at=received_at.astimezone(),
        kernels=kernels_of(header),
        contrast=contrast_given(header),
        procedures=tuple(_procedures(header)),
        age_years=_age_years(header),
        pipeline=pipeline,
    )


def kernels_of(header: Dataset) -> tuple[str, ...]:
    """All values of Convolution Kernel; the reconstruction of some scanners has several."""
    with suppress(Unreadable):
        return texts(header, "ConvolutionKernel")
    return ()


def _procedures(header: Dataset) -> Iterator[str]:
    """Codes and meanings of the requested and the performed procedure, and the description of the requested one."""
    for keyword in _PROCEDURES:
        yield from _coded(header, keyword)
    if description := known_text(header, "RequestedProcedureDescription"):
        yield description


def _coded(header: Dataset, keyword: str) -> Iterator[str]:
    """Code Value and Code Meaning of each item."""
    with suppress(Unreadable):
        for item in items(header, keyword):
            yield from filter(None, (known_text(item, name) for name in ("CodeValue", "CodeMeaning")))


def _age_years(header: Dataset) -> float | None:
    with suppress(Unreadable):
        return youngest_age([header])
    return None
