"""Logs people in at an OpenID provider: authorization code flow with PKCE (OpenID Connect Core 1.0, 3.1; RFC 7636).

The provider's own description, its keys and its answers come over TLS. The ID token is checked as 3.1.3.7 of that text
wants it: signature, issuer, audience, times and nonce.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from service.domain.login import Flow, composed, is_name
from service.errors import Permanent, Transient
from service.network.openid_answers import document, id_token, is_address

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""Of ID tokens: with a public key. Neither `none` nor one that shares a secret."""

_CLOCKS_DIFFER_S = 60
_WELL_KNOWN = "/.well-known/openid-configuration"


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
            token = id_token(session, found["token_endpoint"], code, flow)
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
        found = document(session, issuer.rstrip("/") + _WELL_KNOWN)
        if found.get("issuer") != issuer:
            raise Permanent(f"the provider calls itself {str(found.get('issuer'))[:200]}, not {issuer}")
        needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        for name in needed:
            address = found.get(name)
            if not isinstance(address, str) or not is_address(address, issuer):
                raise Permanent(f"the provider names no {name} that can be used")
        return found

    def _keys(self, session: OAuth2Session, found: Mapping[str, Any]) -> KeySet:
        keys = document(session, found["jwks_uri"])
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
        if not isinstance(address, str) or not is_address(address, self._provider.issuer):
            raise Permanent("the provider names no userinfo_endpoint that can be used")
        told = document(session, address, with_token=True)
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
