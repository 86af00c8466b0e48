"""Logs people in at an OpenID provider: authorization code flow with PKCE (OpenID Connect Core 1.0, 3.1; RFC 7636).

The provider's own description, its keys and its answers come over TLS. The ID token is checked as 3.1.3.7 of that text
wants it: signature, issuer, audience, times and nonce.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlsplit

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from service.domain.login import Flow, composed, is_name
from service.errors import Permanent, Transient

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""Of ID tokens: with a public key. Neither `none` nor one that shares a secret."""

_TIMEOUT_S = 10.0
_CLOCKS_DIFFER_S = 60
_WELL_KNOWN = "/.well-known/openid-configuration"
_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID provider and what we are to it. ca: None: an authority of this machine. back: our own address there."""

    issuer: str
    client_id: str
    client_secret: str
    back: str
    scopes: tuple[str, ...] = ("openid", "profile")
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Who the provider says that it is. subject: the provider's own identifier, which it never gives to another."""

    name: str
    subject: str
    groups: tuple[str, ...]


class OpenId:
    """One provider. Each method asks it; Transient where it does not answer, Permanent where its answer is no use."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def begin(self) -> tuple[str, Flow]:
        """Return the address at the provider to which a browser goes, and what must be kept until it comes back."""
        flow = Flow(token_urlsafe(32), token_urlsafe(32), token_urlsafe(64))
        with self._session() as session:
            found = self._metadata(session)
            address, _ = session.create_authorization_url(
                found["authorization_endpoint"], state=flow.state, nonce=flow.nonce, code_verifier=flow.verifier
            )
        return str(address), flow

    def finish(self, code: str, flow: Flow) -> LoggedIn:
        """Return who has logged in. code: as the provider sent it with the browser."""
        with self._session() as session:
            found = self._metadata(session)
            token = _id_token(session, found["token_endpoint"], code, flow)
            claims = self._checked(token, self._keys(session, found), flow.nonce)
            return self._who(claims, lambda: self._more(session, found, str(claims["sub"])))

    def why_not(self) -> str | None:
        """Return None if the provider describes itself as it must, else what is wrong, in words."""
        try:
            with self._session() as session:
                self._metadata(session)
        except (Transient, Permanent) as error:
            return str(error)
        return None

    def _session(self) -> OAuth2Session:
        """Return a session to which the environment adds nothing: no proxy, no password of ~/.netrc, no authority."""
        ours = self._provider
        session = OAuth2Session(
            ours.client_id,
            ours.client_secret,
            scope=" ".join(ours.scopes),
            redirect_uri=ours.back,
            code_challenge_method="S256",
        )
        session.trust_env = False
        if ours.ca is not None:
            session.verify = str(ours.ca)
        return session

    def _metadata(self, session: OAuth2Session) -> Mapping[str, Any]:
        """Return the provider's description of itself (OpenID Connect Discovery 1.0, 4)."""
        issuer = self._provider.issuer
        found = _document(session, issuer.rstrip("/") + _WELL_KNOWN)
        if found.get("issuer") != issuer:
            raise Permanent(f"the provider calls itself {str(found.get('issuer'))[:200]}, not {issuer}")
        needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        for name in needed:
            address = found.get(name)
            if not isinstance(address, str) or not _is_address(address, issuer):
                raise Permanent(f"the provider names no {name} that can be used")
        return found

    def _keys(self, session: OAuth2Session, found: Mapping[str, Any]) -> KeySet:
        keys = _document(session, found["jwks_uri"])
        try:
            return KeySet.import_key_set({"keys": keys["keys"]})
        except (JoseError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise Permanent("the provider's keys cannot be read") from error

    def _checked(self, token: str, keys: KeySet, nonce: str) -> Mapping[str, Any]:
        """Return the claims of an ID token that is right in every respect."""
        ours = self._provider
        rules = jwt.JWTClaimsRegistry(
            leeway=_CLOCKS_DIFFER_S,
            iss={"essential": True, "value": ours.issuer},
            aud={"essential": True, "value": ours.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
            rules.validate(claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise Permanent(f"the provider's ID token is not right: {type(error).__name__}") from error
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if several else ours.client_id) != ours.client_id:
            raise Permanent("the provider's ID token was made for another client, or for several and does not name us")
        return claims

    def _more(self, session: OAuth2Session, found: Mapping[str, Any], subject: str) -> Mapping[str, Any]:
        """Return what the provider tells of a person beside the ID token (OpenID Connect Core 1.0, 5.3)."""
        address = found.get("userinfo_endpoint")
        if address is None:
            return {}
        if not isinstance(address, str) or not _is_address(address, self._provider.issuer):
            raise Permanent("the provider names no userinfo_endpoint that can be used")
        told = _document(session, address, with_token=True)
        if told.get("sub") != subject:  # 5.3.2
            raise Permanent("the provider tells of another person than the one who logged in")
        return told

    def _who(self, claims: Mapping[str, Any], more: Callable[[], Mapping[str, Any]]) -> LoggedIn:
        ours = self._provider
        if not {ours.name_claim, ours.groups_claim} <= claims.keys():
            claims = {**more(), **claims}
        name, groups = claims.get(ours.name_claim), claims.get(ours.groups_claim, [])
        if not isinstance(name, str) or not is_name(composed(name)):
            raise Permanent(f"the provider's claim {ours.name_claim} holds no name that can be written down")
        several = groups if isinstance(groups, list) else [groups]
        known = tuple(composed(one) for one in several if isinstance(one, str))
        return LoggedIn(composed(name), str(claims["sub"]), known)


def _id_token(session: OAuth2Session, address: str, code: str, flow: Flow) -> str:
    """Return the ID token of a login (3.1.3.3); the session then has the access token. Permanent for another answer."""
    try:
        answer = _asked(
            lambda: session.fetch_token(
                address, code=code, code_verifier=flow.verifier, timeout=_TIMEOUT_S, allow_redirects=False
            )
        )
        access, kind, token = answer.get("access_token"), answer.get("token_type"), answer.get("id_token")
    except (AttributeError, KeyError, TypeError) as error:
        raise Permanent("the OpenID provider's answer to a code is no use") from error
    if not isinstance(access, str) or not isinstance(kind, str) or kind.lower() != "bearer":
        raise Permanent("the OpenID provider's answer to a code holds no bearer token")
    if not isinstance(token, str):
        raise Permanent("the OpenID provider's answer to a code holds no ID token")
    return token


def _is_address(text: str, issuer: str) -> bool:
    """Return whether this is a web address that may be asked: https, or as the issuer is."""
    try:
        found = urlsplit(text)
        usable = bool(found.hostname) and found.port != 0 and text.isprintable()
    except ValueError:
        return False
    return usable and found.scheme in ("https", urlsplit(issuer).scheme)


def _document(session: OAuth2Session, address: str, with_token: bool = False) -> Mapping[str, Any]:
    """Return a JSON object of the provider's."""
    answer = _asked(
        lambda: session.get(address, timeout=_TIMEOUT_S, withhold_token=not with_token, allow_redirects=False)
    )
    if answer.status_code != requests.codes.ok:
        raise Transient(f"the OpenID provider answers {answer.status_code} at {address}")
    try:
        found = answer.json()
    except ValueError as error:
        raise Permanent(f"the OpenID provider's answer at {address} is no JSON") from error
    if len(answer.content) > _MOST_BYTES or not isinstance(found, dict):
        raise Permanent(f"the OpenID provider's answer at {address} is no use")
    return found


def _asked(question: Callable[[], Any]) -> Any:
    """Return the answer; Transient where none comes, Permanent where the provider refuses."""
    try:
        return question()
    except OAuthError as error:
        raise Permanent(f"the OpenID provider refuses: {str(error.error)[:100]}") from error
    except requests.RequestException as error:
        raise Transient(f"the OpenID provider does not answer: {type(error).__name__}") from error
    except ValueError as error:
        raise Permanent("the OpenID provider's answer is no JSON") from error
