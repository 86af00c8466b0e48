"""The systems this service hosts. A new one is one folder and one line here."""

from service.domain.pipeline import Pipeline
from service.errors import Permanent
from service.pipelines.covid_severity.pipeline import CovidSeverity

PIPELINES: tuple[Pipeline, ...] = (CovidSeverity(),)


def named(name: str) -> Pipeline:
    """The pipeline of that name; Permanent with the names there are."""
    for one in PIPELINES:
        if one.name == name:
            return one
    raise Permanent(f"there is no pipeline {name!r}; there are: {', '.join(p.name for p in PIPELINES)}")
