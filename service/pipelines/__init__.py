"""The systems this service hosts. A new one is one file and one line here."""

from service.domain.ports import Pipeline
from service.pipelines.covid_severity import CovidSeverity

PIPELINES: tuple[Pipeline, ...] = (CovidSeverity(),)
