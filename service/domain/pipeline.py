"""What a pipeline is: one published system that analyses a chest CT."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from service.domain.eligibility import Limits
from service.domain.flags import Flag
from service.domain.model_roles import Role
from service.domain.ports import Backend, Progress, Step

if TYPE_CHECKING:  # they bring libraries that only an analysis needs
    from pydicom.sr.coding import Code

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


@dataclass(frozen=True, slots=True)
class Compared:
    """A measurement that is compared with that of an earlier CT.

    group, name: as in result.json. title: for people. barred_by: meaning of the concept of an evaluation; a group that
    has it, then or now, says that this number is not comparable, and no change is told. is_headline: whether it is the
    number of the headline, which a reviewer may have overridden.
    """

    group: str
    name: str
    title: str
    unit: "Code"
    barred_by: str = ""
    is_headline: bool = False


@dataclass(frozen=True, slots=True)
class ComparedFindings:
    """Findings that are matched by their position. label_map: whose segments they are, each with a group of its own.

    numbers: of each finding, as `Compared`, whose group is the finding's own and stays empty here. together: names of
    segments that hold several findings, which are told together: none of them is matched, but what lies among them is
    not called new or gone.
    """

    label_map: str
    numbers: tuple[Compared, ...]
    together: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ComparisonRules:
    """What of a pipeline's results is worth comparing over time; nothing but the headline in words, unless declared."""

    numbers: tuple[Compared, ...] = ()
    findings: ComparedFindings | None = None


class Pipeline(Protocol):
    """A pipeline: one published system that analyses a chest CT.

    title: in one line, for lists. models: roles without whose model it does not run.
    optional_models: roles whose model it uses where one is installed. limits: of the gate.
    flags: every warning that a result may carry, in the order to show them. label_maps: that it may produce.
    series_number: start of its block of Series Numbers (`evidence.context`).
    A reviewer may correct the headline of a result, within its scale.
    It may have an attribute `comparison`: `ComparisonRules`.
    """

    name: str
    version: str
    title: str
    models: tuple[Role, ...]
    optional_models: tuple[Role, ...]
    limits: Limits
    flags: tuple[Flag, ...]
    label_maps: "tuple[LabelMapKind, ...]"
    series_number: int
    drift: tuple[Drift, ...]

    def preference(self, kernels: tuple[str, ...], thickness_mm: float | None) -> int:
        """Rank of a series of the study by its reconstruction, 0 for the best; of equal ones the thickness decides.

        kernels: values of Convolution Kernel. thickness_mm: the larger of slice thickness and spacing, None if unknown.
        """
        ...

    def analyse(self, ct: "CT", backend: Backend, progress: Progress) -> "Analysis":
        """Analyse one CT; Rejected, by name, if it cannot be analysed."""
        ...

    def report(self, ct: "CT", analysis: "Analysis", step: Step) -> "ReportBody":
        """What the report of its analysis prints. step: called between the parts, seconds apart at most."""
        ...


def roles_of(pipelines: Iterable[Pipeline]) -> dict[str, Role]:
    """The model roles of the pipelines, by name."""
    return {role.name: role for one in pipelines for role in (*one.models, *one.optional_models)}


def comparison_rules(pipeline: Pipeline) -> ComparisonRules:
    """What of its results is compared with earlier ones: its attribute `comparison`, which it may leave out."""
    rules: ComparisonRules = getattr(pipeline, "comparison", ComparisonRules())
    return rules
