"""Builds the operators' actions on models, from the settings."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING

import sqlalchemy as sa

from service.composition.storage import existing_storage, has_database, open_storage
from service.errors import Permanent
from service.inference.files import DIGESTS
from service.rollout.model_actions import ModelActions
from service.settings import (
    Settings,
    default_repository,
    own_repository,
    served_repository,
)
from service.store.audit import Audit
from service.store.liveness import Locks
from service.store.shadows import Shadows

if TYPE_CHECKING:
    from service.rollout.acceptance import Acceptance
    from service.rollout.self_promotion import SelfPromotion

now = partial(datetime.now, UTC)

_SHIPPED = "The shipped models are served, which are never changed; `thoracle models init` copies them."


def open_model_actions(settings: Settings) -> ModelActions:
    """Returns what an operator may do with models. Permanent where there is no database nor an own repository."""
    own_ones = (own_repository(settings) / DIGESTS).exists()
    if not own_ones and not has_database(settings):
        raise Permanent(f"{_SHIPPED} If the service has models of its own, name its configuration with --config.")
    _, engine = open_storage(settings)
    return model_actions_on(settings, engine)


def existing_model_actions(settings: Settings) -> ModelActions:
    """The same for questions: nothing is created. Permanent if the service has no database yet."""
    return model_actions_on(settings, existing_storage(settings)[1])


def model_actions_on(settings: Settings, engine: sa.Engine) -> ModelActions:
    """The same on storage that is open."""

    def own() -> Path:
        root = own_models(settings)
        if not (root / DIGESTS).exists():
            raise Permanent(_SHIPPED)
        return root

    def check() -> "Acceptance":
        # Only here: it takes seconds to import, and most questions need none.
        from service.composition.analysis import acceptance

        return acceptance(settings)

    served = partial(served_repository, settings)
    return ModelActions(served, own, check, Audit(engine, now), Shadows(engine))


def self_promotion(settings: Settings, actions: ModelActions, locks: Locks) -> list["SelfPromotion"]:
    """Returns what promotes candidates in the shadow by itself, if the settings want it.

    locks: that all hosts see; of all such processes one does it. Permanent if they name a pipeline that there is not.
    """
    wanted = settings.inference.self_promotion
    if wanted is None:
        return []
    from service.pipelines import PROMOTED_BY_A_PERSON, named
    from service.rollout.self_promotion import PromotionLimits, SelfPromotion

    for pipeline in wanted.headline_change:
        named(pipeline)
    limits = PromotionLimits(wanted.studies, wanted.min_dice, wanted.headline_change, PROMOTED_BY_A_PERSON)
    who = f"service on {gethostname()}, by itself"
    leads = partial(locks.take, "self-promotion", "leader")
    return [SelfPromotion(actions, partial(served_repository, settings), leads, limits, who, now)]


def shipped_models() -> Path:
    """The model repository that comes with this version; never changed."""
    return default_repository()


def own_models(settings: Settings) -> Path:
    """The model repository that this site may change; Permanent if the configuration names the shipped one."""
    own = own_repository(settings)
    if own.resolve() == shipped_models().resolve():
        raise Permanent(
            f"{own} holds the shipped models, which an upgrade replaces. Leave `inference.repository` out of the "
            "configuration (your models are then kept in `models` in the data directory), or name an empty folder. "
            "In the Helm chart, name a `models.claim`."
        )
    return own
