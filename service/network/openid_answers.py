"""What an OpenID provider answers over HTTP: an answer of another form than the text wants is a named failure."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session

from service.domain.login import Flow
from service.errors import Permanent, Transient

_TIMEOUT_S = 10.0
_MOST_BYTES = 1024 * 1024


def id_token(session: OAuth2Session, address: str, code: str, flow: Flow) -> str:
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


def is_address(text: str, issuer: str) -> bool:
    """Return whether this is a web address that may be asked: https, or as the issuer is."""
    try:
        found = urlsplit(text)
        usable = bool(found.hostname) and found.port != 0 and text.isprintable()
    except ValueError:
        return False
    return usable and found.scheme in ("https", urlsplit(issuer).scheme)


def document(session: OAuth2Session, address: str, with_token: bool = False) -> Mapping[str, Any]:
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
