"""What a pipeline is: one published system that analyses a chest CT."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from service.domain.eligibility import Limits
from service.domain.flags import Flag
from service.domain.ports import Backend, Progress, Step

if TYPE_CHECKING:  # they bring libraries that only an analysis needs
    from service.domain.analysis import Analysis, LabelMapKind
    from service.domain.ct import CT
    from service.domain.report import ReportBody


SERIES_NUMBERS = 10_000
"""Series Numbers of one pipeline's block: a hundred results of a study with up to a hundred series each."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A number of each result that is watched over many studies. name: its key in `Analysis.drift`."""

    name: str
    title: str


class Pipeline(Protocol):
    """A pipeline: one published system that analyses a chest CT.

    title: in one line, for lists. models: names of those without which it does not run.
    optional_models: of those that it uses where they are installed. limits: of the gate.
    flags: every warning that a result may carry, in the order to show them. label_maps: that it may produce.
    series_number: start of its block of Series Numbers (`evidence.context`).
    A reviewer may correct the headline of a result, within its scale.
    """

    name: str
    version: str
    title: str
    models: tuple[str, ...]
    optional_models: tuple[str, ...]
    limits: Limits
    flags: tuple[Flag, ...]
    label_maps: "tuple[LabelMapKind, ...]"
    series_number: int
    drift: tuple[Drift, ...]

    def analyse(self, ct: "CT", backend: Backend, progress: Progress) -> "Analysis":
        """Analyse one CT; Rejected, by name, if it cannot be analysed."""
        ...

    def report(self, ct: "CT", analysis: "Analysis", step: Step) -> "ReportBody":
        """What the report of its analysis prints. step: called between the parts, seconds apart at most."""
        ...
