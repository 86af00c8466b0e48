"""Pages to log in and out, and the first page, which tells who is logged in."""

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from service.domain.login import Role
from service.ops.access import has_csrf_token, identity_of
from service.ops.authentication import COOKIE, address_of
from service.ops.login_desk import LoginDesk, LoginFailed
from service.ops.peers import peer_of
from service.ops.request_limits import TokenBuckets
from service.store.secrets import csrf_of, new_secret
from service.web.forms import delete_cookie, form_fields, set_cookie
from service.web.pages import page

FORM_COOKIE = "__Host-thoracle-form"
OPENID_COOKIE = "__Host-thoracle-openid"

_OPENID_S = 600
_SEE_OTHER = 303
_LONGEST_CODE = 4096
_OLD_FORM = "The form has become too old. Try again."

Form = Annotated[Mapping[str, str], Depends(form_fields)]


@dataclass(frozen=True, slots=True)
class LoginPages:
    """otherwise: how somebody is known where nobody logs in. begun: limits the logins that an address begins by
    OpenID."""

    desk: LoginDesk
    otherwise: str
    begun: TokenBuckets

    def routes(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/", home, methods=["GET"])
        router.add_api_route("/login", self.form, methods=["GET"])
        router.add_api_route("/login", self.log_in, methods=["POST"])
        router.add_api_route("/login/openid", self.begin_openid, methods=["GET"])
        router.add_api_route("/login/openid/callback", self.finish_openid, methods=["GET"])
        router.add_api_route("/logout", self.log_out, methods=["POST"])
        return router

    def form(self, request: Request) -> Response:
        """Return the page with the ways to log in."""
        return self._form(request, "", 200)

    def log_in(self, request: Request, sent: Form) -> Response:
        """Log somebody in by name and password."""
        cookie = request.cookies.get(FORM_COOKIE, "")
        if not cookie or not secrets.compare_digest(csrf_of(cookie).encode(), sent.get("csrf", "").encode()):
            return self._form(request, _OLD_FORM, 403)
        name, password = sent.get("name", "").strip(), sent.get("password", "")
        try:
            secret = self.desk.by_password(name, password, address_of(request), request.cookies.get(COOKIE))
        except LoginFailed as error:
            return self._failed(request, error)
        return _logged_in(secret)

    def begin_openid(self, request: Request) -> Response:
        """Send the browser to the OpenID provider."""
        wait_s = self.begun.take(peer_of(address_of(request)))
        try:
            if wait_s:
                raise LoginFailed("Too many logins were begun. Try again later.", wait_s)
            url, state = self.desk.begin_openid()
        except LoginFailed as error:
            return self._failed(request, error)
        answer = RedirectResponse(url, _SEE_OTHER)
        set_cookie(answer, OPENID_COOKIE, state, seconds=_OPENID_S)
        return answer

    def finish_openid(self, request: Request, state: str = "", code: str = "") -> Response:
        """Log in who comes back from the OpenID provider, in the browser in which it began."""
        kept = request.cookies.get(OPENID_COOKIE, "")
        try:
            if not kept or not secrets.compare_digest(kept.encode(), state.encode(errors="replace")):
                raise LoginFailed("This login was begun in another browser, or too long ago. Begin again.")
            if not 0 < len(code) <= _LONGEST_CODE:
                raise LoginFailed("The login of the hospital let nobody in.")
            secret = self.desk.finish_openid(state, code, address_of(request), request.cookies.get(COOKIE))
        except LoginFailed as error:
            return self._failed(request, error)
        answer = _logged_in(secret)
        delete_cookie(answer, OPENID_COOKIE)
        return answer

    def log_out(self, request: Request, sent: Form) -> Response:
        """End the session of the browser."""
        identity = identity_of(request)
        if identity is not None and not has_csrf_token(identity, sent.get("csrf", "")):
            raise HTTPException(403, "the form is not of this session")
        if secret := request.cookies.get(COOKIE):
            self.desk.log_out(secret, address_of(request))
        answer = RedirectResponse("/login", _SEE_OTHER)
        delete_cookie(answer, COOKIE)
        return answer

    def _form(self, request: Request, message: str, status: int) -> Response:
        secret, desk = request.cookies.get(FORM_COOKIE) or new_secret(), self.desk
        shown = {"accounts": desk.accounts is not None, "openid": desk.openid is not None, "otherwise": self.otherwise}
        answer = page("login", status, **shown, message=message, csrf=csrf_of(secret))
        set_cookie(answer, FORM_COOKIE, secret, strict=True)
        return answer

    def _failed(self, request: Request, error: LoginFailed) -> Response:
        answer = self._form(request, str(error), 429 if error.wait_s else 401)
        if error.wait_s:
            answer.headers["Retry-After"] = str(math.ceil(error.wait_s))
        return answer


def home(request: Request) -> Response:
    """Return the first page: who is logged in, or the way to the login."""
    identity = identity_of(request)
    if identity is None:
        return RedirectResponse("/login", _SEE_OTHER)
    person = identity.person
    roles = ", ".join(role for role in Role if person.may(role))
    return page("home", name=person.name, means=person.means, roles=roles, csrf=identity.csrf)


def _logged_in(secret: str) -> Response:
    answer = RedirectResponse("/", _SEE_OTHER)
    set_cookie(answer, COOKIE, secret)
    delete_cookie(answer, FORM_COOKIE)
    return answer
