"""Builds the analysis of a study and the acceptance check of model versions, and chooses a study's pipelines."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from service import __version__
from service.analysis.analyst import Analyst
from service.analysis.compare_with_prior import Comparer
from service.analysis.last_ct import LastCt
from service.composition import destinations as to
from service.composition.backends import backend
from service.domain.pipeline import Pipeline
from service.domain.ports import Backend
from service.domain.routing import Rule, StudyFacts, routed
from service.inference.onnx import OnnxBackend
from service.pipelines import PIPELINES, named
from service.rollout.acceptance import Acceptance
from service.settings import Settings, trial_ct, with_own_repository


def analysts(
    settings: Settings, chosen: Iterable[Pipeline], loaded: Backend | None = None, comparer: Comparer | None = None
) -> dict[str, Analyst]:
    """The analyses by the name of their pipeline, on the same models. What several find in a CT is found once.

    loaded: the models, if they are. comparer: with earlier results; None: nothing is compared.
    """
    runs_on = loaded or backend(settings)
    several = list(chosen)
    last = LastCt(keeps=len(several) > 1)
    made = {one.name: analyst(settings, one, runs_on) for one in several}
    return {name: replace(one, last=last, comparer=comparer) for name, one in made.items()}


def analyst(settings: Settings, chosen: Pipeline, loaded: Backend | None = None) -> Analyst:
    """The analysis with its models loaded; Permanent if a model is missing or not the one that was released.

    loaded: the models, if they are.
    """
    runs_on = loaded or backend(settings)
    for role in chosen.models:
        runs_on.spec(role.name)
    everywhere = settings.destinations.values()
    return Analyst(
        chosen,
        runs_on,
        settings.limits.over(chosen.limits),
        __version__,
        settings.institution,
        to.selections(everywhere),
        to.notice_wanted(everywhere),
    )


def pipelines(settings: Settings) -> tuple[Pipeline, ...]:
    """The pipelines that are to run, in the order of the settings; Permanent if there is none of a name."""
    return tuple(named(one.name) for one in settings.pipelines)


def chosen_pipelines(
    settings: Settings, facts_of: Callable[[str], Sequence[StudyFacts]], study_uid: str
) -> tuple[str, ...]:
    """Names of the pipelines that are to analyse a study: those whose rules match any of its CT series.

    A study without CT that can be read gets the first one, whose job is refused by name. facts_of: of its CT series.
    """
    if len(settings.pipelines) == 1 and not settings.pipelines[0].when:
        return (settings.pipelines[0].name,)
    series = facts_of(study_uid)
    if not series:
        return (settings.pipelines[0].name,)
    rules = pipeline_rules(settings)
    return tuple(name for name, own in rules.items() if any(routed(own, facts) for facts in series))


def pipeline_rules(settings: Settings) -> dict[str, tuple[Rule, ...]]:
    """Which series each pipeline takes, by its name; no rule: every series."""
    return {one.name: tuple(Rule(**route.model_dump()) for route in one.when) for one in settings.pipelines}


def acceptance(settings: Settings) -> Acceptance:
    """The acceptance check of the site's own models."""

    def in_process(versions: Mapping[str, str]) -> Backend:
        ours = with_own_repository(settings).inference
        return OnnxBackend(ours.repository, ours.threads, versions)

    def server(versions: Mapping[str, str]) -> Backend:
        return backend(with_own_repository(settings), versions)

    on_cpu = settings.inference.backend == "onnx" and settings.inference.provider == "cpu"
    elsewhere = None if on_cpu else server
    return Acceptance(pipelines(settings), PIPELINES, trial_ct(settings), in_process, elsewhere)
