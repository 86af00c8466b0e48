"""Quality warnings about the models that several pipelines use."""

from collections.abc import Iterable, Iterator

from service.domain.flags import UNMEASURED_MODEL, Flag
from service.domain.model_spec import ModelSpec
from service.pipelines.shared.model_roles import LOBES

LOBES_APPROXIMATE = Flag(
    "LOBES_APPROXIMATE", "Lobes: approximate, their borders are not exactly the fissures.", "Q-LOBES-APPROX"
)


NOT_RELIABLE = Flag(
    "NOT_RELIABLE",
    "Opacities are not reliable here: no score and no percentage.",
    "Q-NOT-RELIABLE",
    "not reliable here",
)


def of_models(specs: Iterable[ModelSpec]) -> Iterator[Flag]:
    """What the reader has to know about the models: a site's own are none that we have measured."""
    for spec in specs:
        if spec.source:
            yield UNMEASURED_MODEL
        elif spec.name == LOBES.name:
            distance_mm = spec.measured.get("fissure_distance_mm")
            told = "" if distance_mm is None else f"Borders lie {distance_mm:g} mm from drawn fissures on average."
            yield LOBES_APPROXIMATE.because(told)
