"""Which certificates the service uses, and for what."""

from collections.abc import Iterator

from service.settings import Settings, Tls
from service.tls import TlsFiles

OUR_PORTS = ("receiver", "api")


def in_use(settings: Settings) -> dict[str, TlsFiles]:
    """The files by what they are used for; without those of what the settings do not use."""
    return {use: tls.files for use, tls in _all(settings) if tls is not None}


def _all(settings: Settings) -> Iterator[tuple[str, Tls | None]]:
    yield "receiver", settings.receiver.tls
    for ae_title, caller in settings.receiver.callers.items():
        yield f"sender {ae_title}", caller.tls
    for name, destination in settings.destinations.items():
        yield f"destination {name}", destination.tls
    if settings.inference.backend == "triton":
        yield "triton", settings.inference.triton.tls
    yield "api", settings.api.tls
    yield "database", settings.database_tls
    yield "audit collector", settings.audit.collector.tls if settings.audit.collector else None
    yield "bucket", settings.bucket.tls if settings.bucket else None
