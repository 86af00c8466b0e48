"""The HTTP route that tells who asks, and the token that changes of a session need."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from service.domain.login import Means, Role
from service.ops.access import Viewer, identity_of
from service.ops.answers import WHO


class Me(BaseModel):
    """Who asks, as the audit trail will name them."""

    name: str
    means: Means = Field(description="how they are known")
    roles: list[Role]
    audit_name: str
    csrf_token: str | None = Field(description="for the header X-CSRF-Token of changes; null: none is needed")


def me_routes() -> APIRouter:
    """Return the route."""
    router = APIRouter(prefix="/api", tags=["login"], responses=WHO)

    @router.get("/me", summary="Who asks, and what they may do")
    def me(request: Request, by: Viewer) -> Me:
        identity = identity_of(request)
        return Me(
            name=by.name,
            means=by.means,
            roles=[role for role in Role if by.may(role)],
            audit_name=by.label,
            csrf_token=identity.csrf if identity else None,
        )

    return router
