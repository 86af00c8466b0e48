"""The HTTP API and the probes."""

from pydantic import Field

from service.settings.tls import PortTls
from service.settings.values import Frozen, Port


class Api(Frozen):
    """Operator's HTTP API. It has no login of its own: keep it on loopback or behind the hospital's proxy."""

    host: str = "127.0.0.1"
    port: Port = 8080
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
        60, ge=1, description="changes (POST) from one address; one more is answered 429; null: no limit"
    )


class Monitoring(Frozen):
    """Probes and metrics of a receiver or a worker that runs alone. No login: let only Prometheus reach it."""

    host: str = "127.0.0.1"
    port: Port | None = Field(
        None,
        description="`--role receiver` and `--role worker` answer `/livez`, `/readyz` and `/metrics` here, and every "
        "process's `/metrics` is its own; null: the api's `/metrics` adds up all processes of the `data_dir`",
    )
