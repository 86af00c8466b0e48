"""The HTTP API and the probes."""

from typing import Self

from pydantic import Field, model_validator

from service.settings.login import Login
from service.settings.tls import PortTls
from service.settings.values import Frozen, HostName, Origin, Port, is_here, is_loopback_address


class Api(Frozen):
    """The HTTP API. Without a login it listens on loopback only."""

    host: str = Field("127.0.0.1", description="address to listen on; another than loopback needs a login")
    port: Port = 8080
    url: Origin | None = Field(
        None, description="address by which browsers call it, e.g. https://thoracle.hospital.example; OpenID needs it"
    )
    hosts: tuple[HostName, ...] = Field(
        (),
        description="more names of hosts by which it is called; any address, localhost and that of `url` always work",
    )
    login: Login = Login()
    tls: PortTls = Field(None, description="TLS of `port`, but not of `probes_port`; null: without")
    probes_port: Port | None = Field(
        None,
        description="`/livez`, `/readyz` and `/metrics` answer here as well, however many connections `port` has; "
        "null: only there",
    )
    max_connections: int = Field(200, ge=1, description="at once; one more is answered 503 and closed")
    max_connections_per_peer: int = Field(
        50, ge=1, description="at once from one address; all who come through a proxy have the proxy's"
    )
    request_s: float = Field(
        10, gt=0, description="a request that has not arrived whole after this time is answered 408 and closed"
    )
    changes_per_minute: int | None = Field(
        60, ge=1, description="changes (POST) of one person; one more is answered 429; null: no limit"
    )

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.login.openid and self.url is None:
            raise ValueError("login.openid needs api.url, to which the provider sends people back")
        if self.login.certificates and (self.tls is None or self.tls.ca is None):
            raise ValueError("login.certificates needs api.tls.ca, by which certificates are checked")
        if self.login.openid and self.url and not (self.url.startswith("https://") or is_loopback_address(self.url)):
            raise ValueError("url: https with login.openid, or codes and sessions would cross the network in the clear")
        return self

    @property
    def open_to_others(self) -> str:
        """Says why the API must not listen at this host; "" where it may."""
        if self.login.configured or is_here(self.host):
            return ""
        return (
            f"others than this machine could ask the API at {self.host}, and no login is configured: set "
            "api.login.accounts to true and make an account (thoracle users add), configure api.login.openid, or let "
            "api.host be 127.0.0.1 (docs/how-to/log-in.md)"
        )


class Monitoring(Frozen):
    """Probes and metrics of a receiver or a worker that runs alone. No login: let only Prometheus reach it."""

    host: str = "127.0.0.1"
    port: Port | None = Field(
        None,
        description="`--role receiver` and `--role worker` answer `/livez`, `/readyz` and `/metrics` here, and every "
        "process's `/metrics` is its own; null: the api's `/metrics` adds up all processes of the `data_dir`",
    )
