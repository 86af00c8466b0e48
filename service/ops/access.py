"""The role that a route needs. Each route names one, or stands in the list of open ones.

`needs(role)` is a dependency of FastAPI. It answers 401 to nobody that is known, 403 to who may not, and 403 to a
change of a browser's session without the session's own token: another site's page can send the cookie, and cannot read
it.
"""

import math
import secrets
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, Security
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from fastapi.security import APIKeyCookie, HTTPBearer

from service.domain.login import Means, Person, Role
from service.ops.authentication import COOKIE, Authentication, Identity, address_of
from service.ops.request_limits import READS, ChangeLimits

CSRF_HEADER = "X-CSRF-Token"

NO_CSRF = f"a change of a session needs its token in the header {CSRF_HEADER}; GET /api/me tells it"

TOO_MANY = "too many changes were asked for; try again later"

OPEN_ROUTES: Mapping[str, str] = {
    "/livez": "the kubelet and load balancers ask it, and cannot log in",
    "/healthz": "the kubelet and load balancers ask it, and cannot log in",
    "/readyz": "the kubelet and load balancers ask it, and cannot log in",
    "/metrics": "Prometheus asks it; counts and names of destinations and models, nothing of a patient or a study",
    "/openapi.json": "the same as in the sources of this version",
    "/docs": "the same as in the sources of this version",
    "/": "tells who is logged in, to nobody else",
    "/login": "who wants to log in has not yet",
    "/login/openid": "who wants to log in has not yet",
    "/login/openid/callback": "who comes back from the OpenID provider has not logged in yet",
    "/logout": "ends the session of the cookie, with its token, if there is one",
    "/static/style.css": "the look of the login page",
}
"""Routes that need no role, and why."""

_bearer = HTTPBearer(auto_error=False, scheme_name="token", description="an API token of `thoracle tokens add`")
_cookie = APIKeyCookie(name=COOKIE, auto_error=False, scheme_name="session", description="who has logged in at /login")


class needs:
    """A dependency that returns who asks, if they have the role."""

    def __init__(self, role: Role) -> None:
        self.role = role

    def __call__(self, request: Request, _token: Any = Security(_bearer), _session: Any = Security(_cookie)) -> Person:
        """Return who asks. HTTPException 401, 403, 429."""
        identity = identity_of(request)
        if identity is None:
            if request.method not in READS:
                _count_change(request, None)
            raise HTTPException(
                401, _known(request).why_unknown(request), {"WWW-Authenticate": 'Bearer realm="thoracle"'}
            )
        if not identity.person.may(self.role):
            raise HTTPException(403, f"this needs the role {self.role}")
        if request.method not in READS:
            if not has_csrf_token(identity, request.headers.get(CSRF_HEADER, "")):
                raise HTTPException(403, NO_CSRF)
            _count_change(request, identity.person)
        return identity.person


def identity_of(request: Request) -> Identity | None:
    """Return who asks; None for nobody that is known, and where nothing was configured."""
    return _known(request).identify(request)


def _known(request: Request) -> Authentication:
    found: Authentication | None = getattr(request.app.state, "authentication", None)
    return found or Authentication()


def has_csrf_token(identity: Identity, sent: str) -> bool:
    """Return whether a change comes from a page of ours, as far as that is a question."""
    return identity.csrf is None or secrets.compare_digest(identity.csrf.encode(), sent.encode(errors="replace"))


def _count_change(request: Request, person: Person | None) -> None:
    """Count a change of somebody, or of nobody that is known; HTTPException 429 if there were too many."""
    limits: ChangeLimits | None = getattr(request.app.state, "change_limits", None)
    who = None if person is None or person.means == Means.LOOPBACK else person.label
    wait_s = 0.0 if limits is None else limits.wait_s(who, address_of(request))
    if wait_s:
        raise HTTPException(429, TOO_MANY, {"Retry-After": str(math.ceil(wait_s))})


def refuse_open_routes(app: FastAPI) -> None:
    """Raise AssertionError for a route that asks for no role and is not open for a reason: it would let in everybody.

    What is mounted, and what is no request of HTTP, has no role that could be seen, and is refused too.
    """
    bare = [
        f"{sorted(route.methods or ())} {route.path}"
        for route in iter_route_contexts(app.routes)
        if not route.methods or (_role_of(route) is None and route.path not in OPEN_ROUTES)
    ]
    if bare:
        raise AssertionError(f"routes that need no role, and are not in OPEN_ROUTES: {', '.join(bare)}")


def required_roles(app: FastAPI) -> dict[tuple[str, str], Role | None]:
    """Return the role of each method and path; None: it is open."""
    return {
        (method, route.path or ""): _role_of(route)
        for route in routes_of(app)
        for method in sorted(route.methods or ())
    }


def routes_of(app: FastAPI) -> list[RouteContext]:
    """Return all routes that have methods, with their whole paths: FastAPI keeps those of a router within it."""
    return [route for route in iter_route_contexts(app.routes) if route.methods]


def _role_of(route: RouteContext) -> Role | None:
    if not isinstance(route.original_route, APIRoute):
        return None
    return next((one.call.role for one in route.dependant.dependencies if isinstance(one.call, needs)), None)


Viewer = Annotated[Person, Depends(needs(Role.VIEWER))]
Reviewer = Annotated[Person, Depends(needs(Role.REVIEWER))]
Operator = Annotated[Person, Depends(needs(Role.OPERATOR))]
Admin = Annotated[Person, Depends(needs(Role.ADMIN))]
