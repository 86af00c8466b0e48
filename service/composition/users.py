"""Opens local accounts, sessions and API tokens on the storage that the settings name."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256

import sqlalchemy as sa

from service.composition.storage import existing_storage, open_storage
from service.domain.login import SessionLimits
from service.settings import Settings
from service.store.api_tokens import ApiTokens
from service.store.audit import Audit
from service.store.sessions import Sessions
from service.store.users import Users

now = partial(datetime.now, UTC)


def open_sessions(settings: Settings, engine: sa.Engine) -> Sessions:
    """Return the sessions on storage that is open."""
    ours = settings.api.login
    limits = SessionLimits(timedelta(minutes=ours.idle_minutes), timedelta(hours=ours.longest_hours))
    return Sessions(engine, limits, now, _openid_basis(settings))


def _openid_basis(settings: Settings) -> str:
    """Return the digest of what gives people of OpenID their names and roles; "" where nobody logs in so."""
    ours = settings.api.login.openid
    if ours is None:
        return ""
    what = [ours.issuer, ours.client_id, ours.name_claim, ours.groups_claim, sorted(ours.groups.items())]
    return sha256(json.dumps(what).encode()).hexdigest()


def users(settings: Settings) -> tuple[Users, Sessions, Audit]:
    """Return local accounts, sessions and the audit trail; the database is created if there is none."""
    _, engine = open_storage(settings)
    return Users(engine, now), open_sessions(settings, engine), Audit(engine, now)


def tokens(settings: Settings) -> tuple[ApiTokens, Audit]:
    """Return the API tokens and the audit trail; the database is created if there is none."""
    _, engine = open_storage(settings)
    return ApiTokens(engine, now), Audit(engine, now)


def existing_users(settings: Settings) -> Users:
    """Return local accounts, for questions. Permanent if the service has no database yet."""
    return Users(existing_storage(settings)[1], now)


def existing_tokens(settings: Settings) -> ApiTokens:
    """Return the API tokens, for questions. Permanent if the service has no database yet."""
    return ApiTokens(existing_storage(settings)[1], now)
