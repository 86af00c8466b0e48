"""Who may ask the API: ways to log in, and the roles that they give."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from service.domain.login import Role, composed
from service.settings.values import Frozen, Network, WebAddress, is_loopback_address

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$", min_length=1, max_length=64)]
Group = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(composed)]


class OpenIdConnect(Frozen):
    """The hospital's OpenID provider. It logs people in; their groups there give them roles here."""

    issuer: WebAddress = Field(description="its address, as the provider itself writes it, with https")
    client_id: str = Field(min_length=1)
    client_secret: SecretStr
    ca: Path | None = Field(None, description="who must have signed its certificate (PEM); null: a known authority")
    scopes: tuple[str, ...] = Field(("openid", "profile"), description="what is asked for; `openid` is among them")
    name_claim: str = Field("preferred_username", description="claim with a name that only one person has")
    groups_claim: str = Field("groups", description="claim with the groups of a person")
    groups: dict[Group, Role] = Field(min_length=1, description="group: role; who is in none of them is refused")

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if not self.issuer.startswith("https://") and not is_loopback_address(self.issuer):
            raise ValueError("issuer: https, or passwords and tokens would cross the network in the clear")
        if "openid" not in self.scopes:
            raise ValueError("scopes: `openid` must be among them")
        return self


class TrustedProxy(Frozen):
    """A proxy that asks for the login, and names the user in a header. Only from its addresses is a header believed."""

    addresses: tuple[Network, ...] = Field(min_length=1, description="of the proxy, as it connects to the API")
    user_header: HeaderName = Field("X-Forwarded-User", description="the proxy must set or delete it in every request")
    groups_header: HeaderName = Field(
        "X-Forwarded-Groups", description="groups, between commas; the proxy must set or delete it in every request"
    )
    groups: dict[Group, Role] = Field(min_length=1, description="group: role; who is in none of them may do nothing")

    @model_validator(mode="after")
    def _has_two_headers(self) -> Self:
        if self.user_header.lower() == self.groups_header.lower():
            raise ValueError("user_header and groups_header: two headers, or a name would be a group")
        return self


class Login(Frozen):
    """Ways to log in. Without any the API listens on loopback only, and asks nobody who he is."""

    accounts: bool = Field(False, description="local accounts of `thoracle users`, for trial and emergency")
    tokens: bool = Field(False, description="API tokens of `thoracle tokens`, for programs")
    openid: OpenIdConnect | None = None
    proxy: TrustedProxy | None = None
    certificates: dict[str, Role] = Field(
        default_factory=dict, description="name in a client certificate that `api.tls.ca` signed: role"
    )
    idle_minutes: float = Field(30, gt=0, le=1440, description="a session ends when nothing was asked for so long")
    longest_hours: float = Field(12, gt=0, le=168, description="a session ends then, whatever is asked")

    @property
    def configured(self) -> bool:
        """Whether anybody is asked who they are."""
        return bool(self.accounts or self.tokens or self.openid or self.proxy or self.certificates)
