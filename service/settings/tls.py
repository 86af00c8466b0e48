"""TLS of connections and ports."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from service.settings.values import Frozen
from service.tls import TlsFiles


class Tls(Frozen):
    """TLS of a connection or of a port: 1.2 or 1.3, never less, and never without it. Files are PEM, and read anew."""

    certificate: Path | None = Field(
        None, description="our own, with those between it and its authority; others may ask for it, a port needs it"
    )
    key: Path | None = Field(None, description="of `certificate`, without a password; null: in the same file")
    ca: Path | None = Field(
        None,
        description="who must have signed the other side's certificate; null: an authority that this machine knows; "
        "who calls a port of ours needs none then",
    )
    crl: Path | None = Field(None, description="certificates that their authority has revoked; with `ca`")
    name: str = Field("", description="host that the other side's certificate must name; default: the called one")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.key and not self.certificate:
            raise ValueError("a key needs its certificate")
        try:
            self.name.encode("idna")
        except UnicodeError as error:
            raise ValueError(f"name: no host is called {self.name}") from error
        if self.crl and not self.ca:
            raise ValueError("crl needs ca: it lists certificates that this authority signed")
        return self

    @property
    def files(self) -> TlsFiles:
        return TlsFiles(self.certificate, self.key, self.ca, self.crl, self.name)


def tls_files(tls: Tls | None) -> TlsFiles | None:
    """None: without TLS."""
    return None if tls is None else tls.files


def _of_port(tls: Tls | None) -> Tls | None:
    """The same; ValueError where nobody could be answered."""
    if tls is not None and tls.certificate is None:
        raise ValueError("a port needs a certificate of its own")
    return tls


def _without_name(tls: Tls | None) -> Tls | None:
    """The same; ValueError where its client would check another name."""
    if tls is not None and tls.name:
        raise ValueError("`name` is of no use here: its certificate must name the host that is called")
    return tls


PortTls = Annotated[Tls | None, AfterValidator(_of_port), AfterValidator(_without_name)]
NamedTls = Annotated[Tls | None, AfterValidator(_without_name)]
