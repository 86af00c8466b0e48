"""Builds, from the settings, what finds out who asks the API, and the pages to log in."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from urllib.parse import urlsplit

import sqlalchemy as sa
from fastapi import APIRouter

from service.composition.storage import has_database
from service.composition.users import existing_tokens, existing_users, open_sessions
from service.domain.login import Means
from service.errors import Permanent
from service.network.openid import OpenId, Provider
from service.ops.api import Access
from service.ops.authentication import Authentication
from service.ops.doctor import Check, check_answer
from service.ops.login_desk import LoginDesk, OpenIdLogin
from service.ops.request_limits import TokenBuckets
from service.ops.trusted_proxy import TrustedProxy
from service.settings import Settings
from service.store.api_tokens import ApiTokens
from service.store.audit import Audit
from service.store.login_attempts import LoginAttempts
from service.store.login_flows import LoginFlows
from service.store.users import Users
from service.web.docs_page import docs_page
from service.web.login_pages import LoginPages

now = partial(datetime.now, UTC)

CALLBACK = "/login/openid/callback"

_BEGUN_PER_MINUTE = 30
_NO_LOGIN = (
    "no login is configured: whoever can use this machine may see and change everything, and the audit trail calls "
    "them 'unauthenticated (loopback)' (docs/how-to/log-in.md)"
)


def access(settings: Settings, engine: sa.Engine) -> Access:
    """Return who may ask the API, by which names, and how much."""
    ours = settings.api
    named = [urlsplit(ours.url).hostname or ""] if ours.url else []
    return Access(
        authentication=_authentication(settings, engine),
        hosts=[*ours.hosts, *named],
        origins=[ours.url] if ours.url else [],
        changes_per_minute=ours.changes_per_minute,
    )


def pages(settings: Settings, engine: sa.Engine) -> list[APIRouter]:
    """Return the routes of pages for people."""
    ours = settings.api.login
    desk = LoginDesk(
        sessions=open_sessions(settings, engine),
        attempts=LoginAttempts(engine, now),
        trail=Audit(engine, now),
        accounts=Users(engine, now) if ours.accounts else None,
        openid=_openid_login(settings, engine),
    )
    begun = TokenBuckets(_BEGUN_PER_MINUTE, monotonic)
    return [LoginPages(desk, _otherwise(settings), begun).routes(), docs_page()]


def in_words(settings: Settings) -> str:
    """Return, in a sentence, how somebody is known to the API."""
    ours = settings.api.login
    ways = {
        "local accounts (thoracle users)": ours.accounts,
        f"OpenID at {ours.openid.issuer if ours.openid else ''}": ours.openid,
        "API tokens (thoracle tokens)": ours.tokens,
        "a header of the proxy": ours.proxy,
        "client certificates": ours.certificates,
    }
    return ", ".join(way for way, wanted in ways.items() if wanted) or _NO_LOGIN


def checks(settings: Settings) -> Iterator[Check]:
    """Yield what `thoracle doctor` says of the login."""
    ours = settings.api
    if ours.open_to_others:
        yield Check("login", False, ours.open_to_others)
        return
    yield Check("login", True, in_words(settings))
    if _nobody_can_ask(settings):
        how = (
            "thoracle users add NAME --role admin" if ours.login.accounts else "thoracle tokens add NAME --role viewer"
        )
        yield Check("accounts", False, f"nobody can ask the API yet: {how}")
    if ours.login.openid:
        provider = OpenId(provider_of(settings))
        yield check_answer("OpenID provider", ours.login.openid.issuer, provider.why_not)


def provider_of(settings: Settings) -> Provider:
    """Return the configured OpenID provider."""
    ours, url = settings.api.login.openid, settings.api.url
    assert ours is not None and url is not None
    return Provider(
        issuer=ours.issuer,
        client_id=ours.client_id,
        client_secret=ours.client_secret.get_secret_value(),
        back=url + CALLBACK,
        scopes=ours.scopes,
        name_claim=ours.name_claim,
        groups_claim=ours.groups_claim,
        ca=ours.ca,
    )


def _authentication(settings: Settings, engine: sa.Engine) -> Authentication:
    ours = settings.api.login
    means = [*([Means.ACCOUNT] if ours.accounts else []), *([Means.OPENID] if ours.openid else [])]
    return Authentication(
        sessions=open_sessions(settings, engine) if means else None,
        tokens=ApiTokens(engine, now) if ours.tokens else None,
        means=means,
        proxy=_proxy(settings),
        certificates=ours.certificates,
        loopback=not ours.configured,
    )


def _openid_login(settings: Settings, engine: sa.Engine) -> OpenIdLogin | None:
    ours = settings.api.login.openid
    if ours is None:
        return None
    return OpenIdLogin(OpenId(provider_of(settings)), LoginFlows(engine, now), ours.groups)


def _otherwise(settings: Settings) -> str:
    return f"{in_words(settings)}."


def _nobody_can_ask(settings: Settings) -> bool:
    """Whether only accounts and tokens are configured, and there is none that works."""
    ours = settings.api.login
    if not (ours.accounts or ours.tokens) or ours.openid or ours.proxy or ours.certificates:
        return False
    try:
        if not has_database(settings):
            return False
        accounts = existing_users(settings).everybody() if ours.accounts else []
        working = existing_tokens(settings).working() if ours.tokens else 0
    except (Permanent, sa.exc.SQLAlchemyError):  # which have checks of their own
        return False
    return not accounts and not working


def _proxy(settings: Settings) -> TrustedProxy | None:
    ours = settings.api.login.proxy
    return None if ours is None else TrustedProxy(ours.addresses, ours.user_header, ours.groups_header, ours.groups)
