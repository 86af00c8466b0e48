"""The systems that this service hosts, and the only place that imports them.

A pipeline of ours is one folder and one line in `BUILT_IN`. A site's own is a package with an entry point of the group
`thoracle.pipelines`, whose object makes the pipeline when called: docs/how-to/add-a-pipeline.md.
"""

from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from itertools import combinations

from service.domain.pipeline import SERIES_NUMBERS, Pipeline
from service.errors import Permanent
from service.pipelines.covid_severity.pipeline import CovidSeverity

GROUP = "thoracle.pipelines"

BUILT_IN: tuple[Pipeline, ...] = (CovidSeverity(),)


def _installed() -> Iterator[Pipeline]:
    """Pipelines of other packages, by name; Permanent if one cannot be loaded."""
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        yield _load(entry)


def _load(entry: EntryPoint) -> Pipeline:
    try:
        pipeline: Pipeline = entry.load()()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise Permanent(f"the pipeline {entry.name} ({entry.value}) cannot be loaded: {error}") from error
    return pipeline


def checked(pipelines: Iterable[Pipeline]) -> tuple[Pipeline, ...]:
    """The pipelines; Permanent where two have one name, or series numbers or flags that overlap."""
    found = tuple(pipelines)
    for one, other in combinations(found, 2):
        if one.name == other.name:
            raise Permanent(f"two pipelines are named {one.name}")
        if abs(one.series_number - other.series_number) < SERIES_NUMBERS:
            raise Permanent(
                f"the series numbers of {one.name} and {other.name} overlap: they need {SERIES_NUMBERS} each"
            )
        both = {flag.code: flag for flag in one.flags}
        for flag in other.flags:
            if flag.sentence != both.get(flag.code, flag).sentence:
                raise Permanent(f"{one.name} and {other.name} give the warning {flag.code} different meanings")
    return found


PIPELINES = checked((*BUILT_IN, *_installed()))


def named(name: str) -> Pipeline:
    """The pipeline of that name; Permanent with the names there are."""
    for one in PIPELINES:
        if one.name == name:
            return one
    raise Permanent(f"there is no pipeline {name!r}; there are: {', '.join(p.name for p in PIPELINES)}")
