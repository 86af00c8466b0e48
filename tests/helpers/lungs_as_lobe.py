"""A pipeline that needs no model, for tests of everything around an analysis."""

from helpers import evidence_samples
from service.domain.analysis import Analysis
from service.domain.ct import CT
from service.domain.model_roles import Role
from service.domain.ports import Backend, Progress
from service.pipelines.covid_severity.pipeline import CovidSeverity


class LungsAsLobe(CovidSeverity):
    """All that is as thin as lung is one lobe; it is reported like a result of covid-severity."""

    name = "lungs-as-lobe"
    models: tuple[Role, ...] = ()

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        mask = (ct.volume.array < -700).astype("uint8")
        return evidence_samples.analysis_of(ct, mask, 0 * mask)
