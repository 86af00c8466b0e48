"""The input of all encoders: one CT, its analysis and their context, with headers cleaned and UIDs ready."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, Self

from pydicom import Dataset

from service.domain.analysis import Analysis
from service.domain.ct import CT
from service.domain.flags import Flag, doubts
from service.evidence.context import DEFAULT_STYLE, EvidenceContext, Style
from service.evidence.seed import seed_records
from service.evidence.source import source_headers
from service.evidence.times import acquisition_time
from service.evidence.uids import Uids, uids_of


class Filed(Protocol):
    """What an object is filed by: an analysed CT, or a study of which nothing was analysed."""

    @property
    def header(self) -> Dataset: ...

    @property
    def sources(self) -> tuple[Dataset, ...]: ...

    @property
    def context(self) -> EvidenceContext: ...

    @property
    def uids(self) -> Uids: ...

    @property
    def acquired(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One analysed CT. sources: `ct.headers`, cleaned, in their order."""

    ct: CT
    analysis: Analysis
    context: EvidenceContext
    sources: tuple[Dataset, ...]
    uids: Uids
    style: Style = DEFAULT_STYLE

    @classmethod
    def of(cls, ct: CT, analysis: Analysis, context: EvidenceContext) -> Self:
        """ValueError if a label map or a heat map has another grid than the CT: it would be shown where it is not."""
        _check_grid(ct, analysis)
        sources = tuple(source_headers(ct))
        return cls(ct, analysis, context, sources, uids_of(seed_records(ct, sources, analysis, context)))

    def styled(self, style: Style) -> Self:
        """This case for objects of one style, which have UIDs of their own; the default style has those of the case."""
        uids = self.uids if style == DEFAULT_STYLE else Uids(self.uids("style", style.name))
        return replace(self, style=style, uids=uids)

    @property
    def header(self) -> Dataset:
        """The header that patient and study attributes are copied from."""
        return self.sources[0]

    @property
    def acquired(self) -> datetime | None:
        """When the CT was acquired; None if it does not say."""
        return acquisition_time(self.sources)

    @property
    def flags(self) -> tuple[Flag, ...]:
        """Quality warnings of reading and of analysis, each once."""
        return tuple(dict.fromkeys((*self.ct.flags, *self.analysis.flags)))

    @property
    def doubts(self) -> tuple[str, ...]:
        """Reasons why the headline may be wrong."""
        return doubts(self.flags)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Quality warnings, better series that were refused, and an experimental classification, in sentences."""
        found = self.analysis.classification
        classified = () if found is None else found.warnings
        return (*self.context.passed_over_warnings, *(flag.warning for flag in self.flags), *classified)


def _check_grid(ct: CT, analysis: Analysis) -> None:
    grids = {one.name: one.labels.shape for one in analysis.label_maps}
    grids |= {one.name: one.values.shape for one in analysis.explanations}
    for name, shape in grids.items():
        if shape != tuple(ct.volume.spatial_shape):
            raise ValueError(f"{name} has the grid {shape}, the CT {tuple(ct.volume.spatial_shape)}")
