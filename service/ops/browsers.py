"""What keeps pages of other sites away from the API: names of hosts, the origin of changes, headers of answers."""

from collections.abc import Collection
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.ops.request_limits import READS

PROBES = ("/livez", "/healthz", "/readyz", "/metrics")
"""They are asked under any name, by who watches the service, and hold nothing that a page of others could use."""

_FOREIGN = ("cross-site", "same-site")

CONTENT_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No script at all, and nothing from another host."""

_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_PORTS = {"http": ":80", "https": ":443"}
_A_YEAR = "max-age=31536000"


class TrustHosts:
    """Answers 400 to a request for a host that is none of ours: another site's name that leads to our address.

    Addresses, and localhost, always pass: no other site has such a name.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = {host.lower().rstrip(".") for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES or self._is_ours(scope):
            await self._app(scope, receive, send)
            return
        detail = "this host name is not one of this service: name it in api.hosts"
        await JSONResponse({"detail": detail}, 400)(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        named = Headers(scope=scope).getlist("host")
        name = host_in(named[0]) if len(named) == 1 else ""
        if name == "localhost" or name in self._hosts:
            return True
        with suppress(ValueError):
            return bool(ip_address(name))
        return False


class SameOrigin:
    """Answers 403 to a change that a page of another site asks for (Fetch Metadata, and the header Origin).

    Programs that are no browsers send neither header. own: origins under which a proxy shows the service; no other
    scheme of their hosts is ours. A host that is not among them may have TLS by a proxy; where we have TLS, it must.
    """

    def __init__(self, app: ASGIApp, own: Collection[str] = ()) -> None:
        self._app = app
        self._own = {_parts(origin) for origin in own}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in READS and self._is_foreign(scope):
            detail = "a page of another site asks for this change"
            await JSONResponse({"detail": detail}, 403)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_foreign(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        if headers.get("sec-fetch-site", "") in _FOREIGN:
            return True
        if "origin" not in headers:
            return False
        scheme, authority = _parts(headers["origin"])
        if any(authority == own for _, own in self._own):
            return (scheme, authority) not in self._own
        if not scheme or (scope.get("scheme") == "https" and scheme != "https"):
            return True
        return authority != _parts(f"{scheme}://{headers.get('host', '')}")[1]


class SecurityHeaders:
    """Adds to every answer what tells a browser to load nothing from elsewhere and to keep nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope.get("scheme") == "https":
                    headers.setdefault("Strict-Transport-Security", _A_YEAR)
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def host_in(header: str) -> str:
    """Return the host of a Host header without its port, in lower case; "" if it is none."""
    if "@" in header:
        return ""
    try:
        found = urlsplit(f"//{header}")
        if found.port == 0 or found.netloc != header:
            return ""
    except ValueError:
        return ""
    return (found.hostname or "").lower().rstrip(".")


def _parts(origin: str) -> tuple[str, str]:
    """Return scheme, and host with its port unless that is the scheme's; twice "" for an origin that is none."""
    scheme, _, authority = origin.lower().partition("://")
    if scheme not in _PORTS or not authority:
        return "", ""
    return scheme, authority.removesuffix(_PORTS[scheme])
