"""The systems that this service hosts, and the only place that imports them.

A pipeline of ours is one folder and one line in `BUILT_IN`. A site's own is a package with an entry point of the group
`thoracle.pipelines`, whose object makes the pipeline when called: docs/how-to/add-a-pipeline.md.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from itertools import combinations, product

from service.domain.flags import OF_COMPARISON, OF_THE_CT, OF_THE_LUNGS
from service.domain.model_roles import Role
from service.domain.pipeline import SERIES_NUMBERS, ComparisonRules, Pipeline, comparison_rules, roles_of
from service.errors import Permanent
from service.pipelines.covid_burden.pipeline import CovidBurden
from service.pipelines.covid_severity.pipeline import CovidSeverity
from service.pipelines.covid_triage.model_roles import TRIAGE_INFECTION
from service.pipelines.covid_triage.pipeline import CovidTriage
from service.pipelines.lung_density.pipeline import LungDensity
from service.pipelines.nsclc_gtv.pipeline import NsclcGtv
from service.pipelines.shared.lungs import OPTIONAL
from service.pipelines.shared.model_roles import LUNG_OPACITY

GROUP = "thoracle.pipelines"

PROMOTED_BY_A_PERSON = frozenset({TRIAGE_INFECTION.name})
"""Models whose results nothing compares: no version of them is promoted by the service itself."""

BUILT_IN: tuple[Pipeline, ...] = (CovidSeverity(), CovidBurden(), CovidTriage(), LungDensity(), NsclcGtv())

_MEMBERS = (*Pipeline.__annotations__, "analyse", "report")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LABEL_MAP = re.compile(r"[a-z][a-z0-9_]{0,15}")
"""Names are folders of results, labels of metrics and values of rules."""


def installed() -> Iterator[Pipeline]:
    """Pipelines of other packages, by name; Permanent if one cannot be loaded."""
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        yield _load(entry)


def _load(entry: EntryPoint) -> Pipeline:
    where = f"the pipeline {entry.name} ({entry.value})"
    try:
        pipeline: Pipeline = entry.load()()
    except (ImportError, AttributeError, TypeError, ValueError, SyntaxError, RuntimeError, OSError) as error:
        raise Permanent(f"{where} cannot be loaded: {error}") from error
    if absent := [name for name in _MEMBERS if not hasattr(pipeline, name)]:
        raise Permanent(f"{where} is no pipeline: it has no {', '.join(absent)}")
    return pipeline


def checked(pipelines: Iterable[Pipeline]) -> tuple[Pipeline, ...]:
    """The pipelines; Permanent where a name cannot be used, or what two of them declare collides."""
    found = tuple(pipelines)
    for one in found:
        _check_alone(one)
    for one, other in combinations(found, 2):
        if one.name == other.name:
            raise Permanent(f"two pipelines are named {one.name}")
        if abs(one.series_number - other.series_number) < SERIES_NUMBERS:
            raise Permanent(
                f"the series numbers of {one.name} and {other.name} overlap: they need {SERIES_NUMBERS} each"
            )
        _check_flags(one, other)
        _check_roles(one, other)
    return found


def _check_alone(one: Pipeline) -> None:
    """Permanent where its name cannot be used, or lacks a warning or a model that comes with a CT or its lungs."""
    if not _NAME.fullmatch(one.name):
        raise Permanent(f"a pipeline cannot be named {one.name!r}: small letters and digits, with - between words")
    for kind in one.label_maps:
        if not _LABEL_MAP.fullmatch(kind.name):
            raise Permanent(
                f"a label map of {one.name} cannot be named {kind.name!r}: at most 16 small letters, digits and _"
            )
    roles = (*one.models, *one.optional_models)
    needed = (*OF_THE_CT, *(OF_THE_LUNGS if LUNG_OPACITY in roles else ()))
    if missing := {flag.code for flag in needed} - {flag.code for flag in one.flags}:
        raise Permanent(f"{one.name} does not declare the warnings {', '.join(sorted(missing))}")
    if LUNG_OPACITY in roles and (absent := [role.name for role in OPTIONAL if role not in one.optional_models]):
        raise Permanent(f"{one.name} asks for lungs, and has not the optional models {', '.join(absent)}")
    _check_comparison(one)
    if len({getattr(role, "name", role) for role in roles}) < len(roles):
        raise Permanent(f"{one.name} declares a model role twice")
    for role in roles:
        if not isinstance(role, Role) or not _NAME.fullmatch(role.name):
            raise Permanent(f"{one.name} has no usable model role in {role!r}: a `Role` with a name like lung-opacity")


def _check_comparison(one: Pipeline) -> None:
    """Permanent where it compares findings of a label map that it has not, or declares a warning of comparisons."""
    rules = comparison_rules(one)
    if not isinstance(rules, ComparisonRules):
        raise Permanent(f"`comparison` of {one.name} is no ComparisonRules")
    label_maps = {kind.name for kind in one.label_maps}
    if rules.findings is not None and rules.findings.label_map not in label_maps:
        raise Permanent(f"{one.name} compares findings of a label map that it has not, {rules.findings.label_map}")
    taken = {flag.code for flag in OF_COMPARISON} | {flag.concept_value for flag in OF_COMPARISON}
    if ours := sorted(taken & {code for flag in one.flags for code in (flag.code, flag.concept_value)}):
        raise Permanent(f"{one.name} declares what warns of comparisons, {', '.join(ours)}")


def _check_flags(one: Pipeline, other: Pipeline) -> None:
    """Permanent where a warning's code, or its private code in SRs, has another meaning in the other pipeline."""
    for flag, same in product(one.flags, other.flags):
        if flag.code == same.code and flag.sentence != same.sentence:
            raise Permanent(f"{one.name} and {other.name} give the warning {flag.code} different meanings")
        if flag.concept_value == same.concept_value and flag.code != same.code:
            both = f"{flag.code} of {one.name} and {same.code} of {other.name}"
            raise Permanent(f"the warnings {both} have one private code, {flag.concept_value}")


def _check_roles(one: Pipeline, other: Pipeline) -> None:
    """Permanent where two roles have one name: a model of that name could not be checked."""
    ours, theirs = roles_of([one]), roles_of([other])
    if unlike := [name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]]:
        raise Permanent(f"{one.name} and {other.name} have different model roles named {', '.join(sorted(unlike))}")


PIPELINES = checked((*BUILT_IN, *installed()))

MODEL_ROLES: Mapping[str, Role] = roles_of(PIPELINES)
"""Every model role, by name."""


def named(name: str) -> Pipeline:
    """The pipeline of that name; Permanent with the names there are."""
    for one in PIPELINES:
        if one.name == name:
            return one
    raise Permanent(f"there is no pipeline {name!r}; there are: {', '.join(p.name for p in PIPELINES)}")
