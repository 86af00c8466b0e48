"""Where results go."""

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Discriminator, Field, SecretStr, Tag, model_validator

from service.settings.pipelines import Route
from service.settings.tls import NamedTls, Tls
from service.settings.values import AETitle, Frozen, Port, WebAddress, is_here


class _Delivery(Frozen):
    """What all destinations have in common."""

    when: tuple[Route, ...] = Field((), description="studies that match any of these rules; empty: all studies")
    send: tuple[Literal["seg", "sr", "pdf", "capture", "text", "rtstruct", "heat-maps"], ...] = Field(
        ("seg", "sr", "pdf"),
        min_length=1,
        description="what to send; capture: the report as Secondary Capture; text: its numbers as Basic Text SR; "
        "rtstruct: all segments as an RT Structure Set, for radiotherapy planning; "
        "heat-maps: what made the models decide, as Parametric Maps, for pipelines that provide them",
    )
    seg: Literal["binary", "labelmap"] = Field(
        "binary", description="kind of the Segmentations; where a destination takes no label maps, it gets binary ones"
    )
    all_frames: bool = Field(False, description="Segmentations with a frame for every slice, also for empty ones")
    notice: bool = Field(
        False, description="where nothing of a study can be analysed, send a page and an SR that say why"
    )
    answer_within_s: float = Field(
        300, gt=0, description="without a confirmation after this time it is asked for again, then searched for"
    )
    concurrency: int = Field(1, ge=1, description="deliveries at once")
    per_minute: int | None = Field(None, ge=1, description="deliveries per minute at most")
    retry_delays_s: tuple[float, ...] = Field(
        (5, 15, 60, 300, 900), min_length=1, description="waits between attempts; the last one repeats"
    )
    give_up_after_h: float = Field(72, gt=0, description="then it fails; `thoracle jobs retry` takes it up again")


class DicomDestination(_Delivery):
    """A PACS that gets the results by C-STORE."""

    kind: Literal["dimse"] = "dimse"
    ae_title: AETitle = Field(description="AE title of the PACS")
    host: str = Field(description="its host name or address")
    port: Port = 104
    calling_ae_title: AETitle = Field("THORACLE", description="our AE title when sending")
    tls: Tls | None = Field(None, description="TLS of every association with it; null: without")
    confirm: Literal["commitment", "query", "none"] = Field(
        "commitment",
        description="what makes an object delivered: that the PACS commits to it (Storage Commitment; where it knows "
        "none, refuses or never answers, C-FIND), that C-FIND sees it, or that it was stored",
    )


class WebDestination(_Delivery):
    """An archive that gets the results by STOW-RS."""

    kind: Literal["dicomweb"]
    url: WebAddress = Field(description="of its DICOMweb service")
    user: str | None = Field(None, description="basic authentication, with `password`")
    password: SecretStr | None = None
    token: SecretStr | None = Field(None, description="bearer authentication")
    tls: NamedTls = Field(None, description="for https:// with an authority or a certificate of your own")
    plain_http: bool = Field(
        False, description="password or token may go over http:// too, where nobody can listen on the way"
    )
    confirm: Literal["query", "none"] = Field(
        "query", description="when an object is delivered: seen by QIDO-RS, or stored"
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.token and (self.user or self.password):
            raise ValueError("either user and password or a token")
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password belong together")
        if self.tls and not self.url.startswith("https://"):
            raise ValueError("tls is for https://")
        encrypted = self.url.startswith("https://") or is_here(urlsplit(self.url).hostname or "") or self.plain_http
        if (self.password or self.token) and not encrypted:
            raise ValueError(
                "a password or a token goes over https only, but to this machine, or with plain_http: true"
            )
        return self


def _kind(value: Any) -> str:
    kind = value.get("kind", "dimse") if isinstance(value, dict) else value.kind
    return kind if isinstance(kind, str) else ""


AnyDestination = Annotated[
    Annotated[DicomDestination, Tag("dimse")] | Annotated[WebDestination, Tag("dicomweb")], Discriminator(_kind)
]
