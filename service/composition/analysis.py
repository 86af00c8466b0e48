"""Settings become the analysis of a study, and what a version of a model has to pass before it has a part in it."""

from collections.abc import Mapping

from service import __version__
from service.analysis.analyst import Analyst
from service.composition import destinations as to
from service.composition.backends import backend
from service.domain.pipeline import Pipeline
from service.domain.ports import Backend
from service.inference.onnx import OnnxBackend
from service.pipelines import named
from service.rollout.acceptance import Gate
from service.settings import Settings, trial_ct, with_own_repository


def analyst(settings: Settings, chosen: Pipeline, loaded: Backend | None = None) -> Analyst:
    """The analysis with its models loaded; Permanent if a model is missing or not the one that was released.

    loaded: the models, if they are.
    """
    runs_on = loaded or backend(settings)
    for name in chosen.models:
        runs_on.spec(name)
    everywhere = settings.destinations.values()
    return Analyst(
        chosen,
        runs_on,
        settings.limits,
        __version__,
        settings.institution,
        to.selections(everywhere),
        to.notice_wanted(everywhere),
    )


def gate(settings: Settings) -> Gate:
    """For models of the site's own repository."""

    def in_process(versions: Mapping[str, str]) -> Backend:
        ours = with_own_repository(settings).inference
        return OnnxBackend(ours.repository, ours.threads, versions)

    def server(versions: Mapping[str, str]) -> Backend:
        return backend(with_own_repository(settings), versions)

    elsewhere = server if settings.inference.backend != "onnx" else None
    return Gate(named(settings.pipeline), trial_ct(settings), in_process, elsewhere)
