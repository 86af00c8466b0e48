"""All configuration, frozen. `thoracle.yaml` < files of secrets < environment (THORACLE_RECEIVER__PORT=...).

An unknown key is an error: a misspelt setting never falls back silently to its default.
"""

import os
import sys
from base64 import b64decode
from contextlib import suppress
from dataclasses import replace
from datetime import time, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    SecretStr,
    StringConstraints,
    Tag,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    YamlConfigSettingsSource,
)

from service.domain.ae_title import entry_of
from service.domain.eligibility import Limits
from service.domain.pressure import Marks
from service.domain.priority import Urgency
from service.tls import TlsFiles

AETitle = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=16, pattern=r"^[^\\]+$")]
Port = Annotated[int, Field(ge=1, le=65535)]
DestinationName = Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_.-]+$")]


_PREFIX = "THORACLE_"

_TRIAL_CT = ("share", "thoracle", "trial-ct")
"""Where the wheel puts demo/ct (pyproject.toml)."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def is_here(host: str) -> bool:
    """Whether this is a name or an address by which a machine speaks with itself only."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


class Tls(_Frozen):
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


def _network(value: Any) -> Any:
    """An address or a network, whatever bits of a host it names; an IPv4 one within IPv6 is one of IPv4."""
    if not isinstance(value, str | IPv4Network | IPv6Network):
        raise ValueError("an address or a network, for instance 10.1.2.3 or 10.1.4.0/24")
    found = ip_network(value, strict=False)
    mapped = found.network_address.ipv4_mapped if isinstance(found, IPv6Network) else None
    if mapped is not None and found.prefixlen >= _MAPPED:
        return ip_network((mapped, found.prefixlen - _MAPPED), strict=False)
    return found


_MAPPED = 96
"""Bits before an IPv4 address within an IPv6 address."""

Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]


class Caller(_Frozen):
    """A sender: from where it may call us under its AE title, for what, and what else we know of it."""

    addresses: tuple[Network, ...] = Field(
        min_length=1, description="from which it calls: addresses or networks, e.g. [10.1.2.3, 10.1.4.0/24]"
    )
    certificates: tuple[str, ...] = Field(
        (),
        description="common name or host name of its certificate, one of these; needs `receiver.tls.ca`; empty: any "
        "that `ca` signed",
    )
    may: tuple[Literal["store", "report"], ...] = Field(
        ("store", "report"), description="send images; report that it keeps our results (storage commitment)"
    )
    quiet_s: float | None = Field(None, gt=0, description="quiet period of its studies; default receiver.quiet_s")
    urgency: Urgency = Field(Urgency.ROUTINE, description="of what it sends; an image's own priority may raise it")
    host: str | None = Field(
        None, description="with port: ask it there by C-FIND how many images a series has; fewer here is INCOMPLETE"
    )
    port: Port | None = None
    tls: Tls | None = Field(None, description="for C-FIND; null: without")

    @model_validator(mode="after")
    def _host_and_port(self) -> Self:
        if (self.host is None) != (self.port is None):
            raise ValueError("host and port belong together")
        if self.tls and not self.host:
            raise ValueError("tls is for C-FIND: it needs host and port")
        return self


_EXAMPLE = (
    "`receiver.callers: {CT1: {addresses: [10.1.2.3]}}`, or for all senders of a network "
    '`receiver.callers: {"*": {addresses: [10.1.2.0/24]}}`'
)


class Receiver(_Frozen):
    """The Storage SCP."""

    ae_title: AETitle = Field("THORACLE", description="our AE title as a receiver")
    host: str = Field("127.0.0.1", description="address to listen on; any other than this machine's needs `callers`")
    port: Port = 11112
    tls: PortTls = Field(None, description="TLS of the port, which then takes nothing else; null: without")
    callers: dict[AETitle, Caller] = Field(
        default_factory=dict,
        description="who may call, by calling AE title, in which * and ? may stand for others (the entry of its very "
        "name goes first); a destination that no entry fits may report from anywhere; empty: whoever is on this "
        "machine. As a variable: JSON of all of it",
    )
    max_associations: int = Field(20, ge=1, description="at once; one more is rejected and may try again")
    max_associations_each: int = Field(
        16,
        ge=1,
        description="at once from one address; one more takes the place of one that has been idle for a minute",
    )
    processes: int = Field(
        1, ge=1, description="that receive at once, each with its share of the associations: for several senders"
    )
    max_object_gb: float = Field(2, gt=0, description="larger images are refused (C-STORE answers 0xC000)")
    quiet_s: float = Field(60, gt=0, description="a study is complete when no CT image came for this long")
    min_free_gb: float = Field(
        2,
        ge=0,
        description="with less space, new studies are refused (C-STORE answers 0xA700), with half of it everything",
    )
    resume_free_gb: float | None = Field(
        None, ge=0, description="with as much space, they are taken again; default: twice `min_free_gb`"
    )
    max_waiting: int | None = Field(
        500, ge=1, description="with as many jobs that wait for analysis, new studies are refused; null: never"
    )
    max_waiting_each: int | None = Field(
        None,
        ge=1,
        description="with as many of one sender (calling AE title), its new studies are; STAT studies of others are "
        "taken even where `max_waiting` is reached; default: four fifths of it",
    )

    @model_validator(mode="before")
    @classmethod
    def _callers_now(cls, values: Any) -> Any:
        """Until version 0.3 there were names alone."""
        if isinstance(values, dict) and (old := values.keys() & {"allowed_calling_aets", "peers"}):
            raise ValueError(
                f"`{min(old)}` is part of `callers` now, with the addresses they call from: for instance {_EXAMPLE}"
            )
        return values

    @model_validator(mode="after")
    def _resume_above(self) -> Self:
        if self.resume_free_gb is not None and self.resume_free_gb < self.min_free_gb:
            raise ValueError("resume_free_gb is less than min_free_gb")
        return self

    @model_validator(mode="after")
    def _a_share_for_each_process(self) -> Self:
        if self.processes > min(self.max_associations, self.max_associations_each):
            raise ValueError("processes is more than max_associations or max_associations_each")
        return self

    @model_validator(mode="after")
    def _certificates_are_asked_for(self) -> Self:
        asks = self.tls is not None and self.tls.ca is not None
        for name, caller in self.callers.items():
            if caller.certificates and not asks:
                raise ValueError(f"callers.{name}.certificates: nobody is asked for one without tls.ca")
        return self

    @property
    def open_to_others(self) -> str:
        """Says why the receiver must not listen at this host; "" where it may. Nothing is open by default."""
        if self.callers or is_here(self.host):
            return ""
        return f"others than this machine could call {self.host}: say who may, for instance {_EXAMPLE}"

    @property
    def marks(self) -> Marks:
        """When it takes no more."""
        resume_gb = 2 * self.min_free_gb if self.resume_free_gb is None else self.resume_free_gb
        return Marks(self.min_free_gb * 1e9, resume_gb * 1e9, self.max_waiting, self.max_waiting_each)

    def caller(self, calling_ae: str) -> Caller | None:
        """What is known of whoever calls so: the entry of this very name, else the first whose pattern fits."""
        return entry_of(calling_ae, self.callers)


class Route(_Frozen):
    """A rule: every condition that is given must hold. Names may hold * and ?, and case does not matter."""

    kernel: tuple[str, ...] = Field((), description="Convolution Kernel (0018,1210)")
    contrast: bool | None = Field(None, description="whether a contrast agent is recorded (0018,0010)")
    procedure: tuple[str, ...] = Field((), description="code or meaning of the procedure, or its description")
    age: tuple[float, float] | None = Field(None, description="patient's age in years, from and to, e.g. [40, 120]")
    pipeline: tuple[str, ...] = Field((), description="which analysis made the results; for destinations only")

    calling_ae: tuple[str, ...] = Field((), description="who sent the CT")
    called_ae: tuple[str, ...] = Field((), description="as which AE title we were called")
    station: tuple[str, ...] = Field((), description="Station Name (0008,1010)")
    description: tuple[str, ...] = Field((), description="Study Description or Series Description")
    body_part: tuple[str, ...] = Field((), description="Body Part Examined (0018,0015)")
    between: tuple[time, time] | None = Field(
        None, description="local time of day at which the first image of the CT came, e.g. [18:00, 07:00]"
    )

    @model_validator(mode="after")
    def _ages_in_order(self) -> Self:
        if self.age and self.age[0] > self.age[1]:
            raise ValueError(
                f"age: from the first to the second, in years; nobody is from {self.age[0]:g} to {self.age[1]:g}"
            )
        return self


class GateLimits(_Frozen):
    """Limits of the eligibility gate, for all pipelines. Without one, each pipeline's own holds."""

    min_slices: int | None = Field(None, ge=1, description="fewest slices of a series")
    min_extent_mm: float | None = Field(None, gt=0, description="shortest covered length, first to last slice")
    good_thickness_mm: float | None = Field(None, gt=0, description="slices up to this give no warning")
    max_thickness_mm: float | None = Field(None, gt=0, description="thicker slices are refused")
    min_age_years: float | None = Field(None, ge=0, description="younger patients are refused")
    min_axial_cosine: float | None = Field(None, gt=0, le=1, description="of the slice normal and the body's axis")
    allow_derived: bool | None = Field(None, description="also derived images, e.g. monoenergetic ones")
    spacing_tolerance_mm: float | None = Field(None, ge=0, description="spread of the slice spacing, in mm")
    spacing_tolerance: float | None = Field(None, ge=0, description="spread of the slice spacing, as a part of it")
    cosine_tolerance: float | None = Field(None, ge=0, description="differences of orientation that are rounding")
    pixel_spacing_tolerance_mm: float | None = Field(None, ge=0, description="differences that are rounding")
    position_tolerance_mm: float | None = Field(None, ge=0, description="differences that are rounding")
    max_tilt_degrees: float | None = Field(None, ge=0, description="greatest tilt of the gantry")
    max_voxels: int | None = Field(None, ge=1, description="most voxels of a series: six bytes of memory each")

    def over(self, limits: Limits) -> Limits:
        """A pipeline's limits with those that are set here in their place."""
        return replace(limits, **self.model_dump(exclude_none=True))


class PipelineChoice(_Frozen):
    """One analysis, and which studies get it. A name alone means: all studies."""

    name: str = Field(description="of the pipeline, as `thoracle pipelines` lists it")
    when: tuple[Route, ...] = Field(
        (),
        description="studies of which any CT series matches any of these rules; only series that match are analysed; "
        "empty: all",
    )

    @model_validator(mode="after")
    def _before_the_analysis(self) -> Self:
        if any(route.pipeline for route in self.when):
            raise ValueError("when: `pipeline` is for destinations; a pipeline chooses studies by what they are")
        return self

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class _OrNameAlone:
    """For JSON schemas: an entry is the name of a pipeline, or the name with rules."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


class _Delivery(_Frozen):
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


def _without_credentials(url: str) -> str:
    """The same; ValueError if it holds a name or a password: addresses are logged."""
    if "@" in urlsplit(url).netloc:
        raise ValueError("an address holds no user and no password: they have settings of their own")
    return url


WebAddress = Annotated[str, StringConstraints(pattern="^https?://"), AfterValidator(_without_credentials)]


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


def _of_bucket(tls: Tls | None) -> Tls | None:
    """The same; ValueError where the client of S3 cannot do what it says."""
    if tls is not None and (tls.certificate or tls.crl or not tls.ca):
        raise ValueError("`ca` and nothing else: credentials come from the environment, and revocations go unchecked")
    return tls


class Bucket(_Frozen):
    """An S3 bucket in place of the local disk. Credentials come from the environment (AWS_*) or the host's role."""

    url: str = Field(pattern="^s3://", description="s3://bucket/prefix")
    endpoint: WebAddress | None = Field(
        None, description="of any other server than AWS; with http:// nothing is encrypted"
    )
    region: str | None = None
    tls: Annotated[NamedTls, AfterValidator(_of_bucket)] = Field(
        None, description="with `ca` alone: an authority that this machine does not know"
    )

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        if self.tls and (self.endpoint or "").startswith("http://"):
            raise ValueError("tls is for https://")
        return self


def _of_32_bytes(key: SecretStr) -> SecretStr:
    """The same; ValueError, which says how to make one, if it is no key."""
    try:
        found = b64decode(key.get_secret_value(), validate=True)
    except ValueError:
        found = b""
    if len(found) != _KEY_BYTES:
        raise ValueError(f"a key has {_KEY_BYTES} random bytes in base64: make one with `openssl rand -base64 32`")
    return key


_KEY_BYTES = 32
"""AES-256."""

MasterKey = Annotated[SecretStr, AfterValidator(_of_32_bytes)]


class Encryption(_Frozen):
    """Encryption of received images and results where they lie, with a key for each study that its purge forgets.

    The keys lie in the database, wrapped by the master key. Without it, or without the database, nobody can read the
    files any more: keep a copy of the master key apart from the backups.
    """

    master_key: MasterKey | None = Field(
        None,
        description="32 random bytes in base64, as `openssl rand -base64 32` prints them; better in a file of secrets; "
        "null: files are not encrypted",
    )
    old_master_keys: tuple[MasterKey, ...] = Field(
        (), description="the ones before, until `thoracle rewrap` has run. As a variable: JSON"
    )
    new_files: bool = Field(
        True, description="encrypt what comes from now on; false: only read what is encrypted already"
    )

    @model_validator(mode="after")
    def _newest_first(self) -> Self:
        if self.old_master_keys and self.master_key is None:
            raise ValueError("old_master_keys: the newest one is missing, `master_key`")
        return self

    @property
    def keys(self) -> list[bytes]:
        """The master keys, the newest first: 32 bytes each."""
        known = (self.master_key, *self.old_master_keys)
        return [b64decode(key.get_secret_value()) for key in known if key is not None]


class Retention(_Frozen):
    """How long things are kept. Days may have fractions; null: for ever."""

    keep_days: float | None = Field(
        7,
        gt=0,
        description="received images and results of a study that is done, after the last thing that happened to it; "
        "failed and undelivered studies are kept until an operator acts",
    )
    history_days: float | None = Field(
        400,
        gt=0,
        description="what became of a study, after its files went: its jobs, deliveries and journal",
    )
    audit_days: float | None = Field(
        None, gt=0, description="who changed what (`thoracle audit`), after it was wanted; null: for ever"
    )

    @property
    def files_for(self) -> timedelta | None:
        """None: for ever."""
        return None if self.keep_days is None else timedelta(days=self.keep_days)

    @property
    def history_for(self) -> timedelta | None:
        """None: for ever."""
        return None if self.history_days is None else timedelta(days=self.history_days)

    @property
    def audit_for(self) -> timedelta | None:
        """None: for ever."""
        return None if self.audit_days is None else timedelta(days=self.audit_days)


def _of_grpc(tls: Tls | None) -> Tls | None:
    """The same; ValueError where gRPC's client cannot do what it says."""
    if tls is not None and not tls.ca:
        raise ValueError("ca: gRPC's client knows no authority of this machine")
    if tls is not None and tls.crl:
        raise ValueError("crl: gRPC's client checks no revocations")
    if tls is not None and tls.certificate and not tls.key:
        raise ValueError("key: gRPC's client wants it in a file of its own")
    return tls


class AuditCollector(_Frozen):
    """The hospital's collector of DICOM audit messages (PS3.15 A.5), a syslog server such as rsyslog.

    They name studies and patients, so that they leave this machine by TLS only.
    """

    host: str = Field(min_length=1)
    port: int = Field(6514, ge=1, le=65535)
    tls: Tls | None = Field(None, description="null: without, for a collector or a relay on this machine only")

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        if self.tls is None and not is_here(self.host):
            raise ValueError("tls: messages name patients; `tls: {}` will do where this machine knows its authority")
        return self


class AuditTrail(_Frozen):
    """The audit trail, a chain whose end is signed every minute, and the collector of audit messages."""

    signing_key: Path | None = Field(
        None, description="signs it (PEM, Ed25519); default: `data_dir`/audit.key, which the first worker makes"
    )
    public_keys: tuple[Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")], ...] = Field(
        (), description="of other hosts that sign the same trail, as `thoracle audit key` prints them there"
    )
    collector: AuditCollector | None = Field(
        None, description="gets a DICOM audit message of what happens to studies and to the service; null: nobody"
    )
    source: str = Field("", description="Audit Source ID of the messages; default: thoracle@ and the name of the host")


class Triton(_Frozen):
    """A Triton server that serves the same repository; for `inference.backend: triton`."""

    url: str = Field("127.0.0.1:8001", pattern=r"^[^/]+:\d+$", description="host:port of its gRPC, without a scheme")
    shared_memory: Literal["auto", "always", "never"] = Field(
        "auto", description="images go to it through `/dev/shm`; auto: where it is on this host and can read ours"
    )
    timeout_s: float = Field(60, gt=0, description="for one inference (a few slices), waiting in its queue included")
    concurrency: int = Field(2, ge=1, description="requests at once; as many as it has instances of a model")
    tls: Annotated[NamedTls, AfterValidator(_of_grpc)] = Field(None, description="null: without")


class SelfPromotion(_Frozen):
    """When a version of a model that analyses in the shadow becomes the active one by itself."""

    studies: int = Field(
        200,
        ge=1,
        le=1000,
        description="all analyses of its latest studies in the shadow, so many, have to be within the limits; without "
        "`inference.self_promotion` an operator promotes it",
    )
    min_dice: float = Field(
        0.9, gt=0, le=1, description="of every label with that of the active version; differences below 1 mL pass"
    )
    headline_change: dict[str, float] = Field(
        default_factory=dict,
        description="greatest change of the headline, by pipeline, in its unit; a pipeline that is not named: none",
    )


class Inference(_Frozen):
    """Where models run."""

    backend: Literal["onnx", "triton"] = Field(
        "onnx", description="onnx: ONNX Runtime in the worker's process; triton: a Triton server"
    )
    repository: Path = Field(
        default_factory=lambda: default_repository(),
        description="model repository; default: `data_dir`/models once `thoracle models` made it, else the shipped one",
    )
    threads: int = Field(2, ge=1, description="CPU cores that infer: as many slices of a CT at once (onnx)")
    provider: Literal["cpu", "cuda", "tensorrt"] = Field(
        "cpu",
        description="what ONNX Runtime computes on (onnx); cuda and tensorrt need `thoracle[gpu]`. Where it is missing "
        "or does not start, the service says so and ends: it never takes another",
    )
    engines: Path | None = Field(
        None,
        description="folder of TensorRT's engines (tensorrt), one for each model file; default: `data_dir`/engines",
    )
    trial_ct: Path | None = Field(
        None,
        description="folder with a chest CT on which a version of a model is tried before it gets any study; default: "
        "the demo's, which comes with the service",
    )
    check_s: float = Field(
        60,
        gt=0,
        description="every so often the models are asked for an answer that is known; while it is wrong, nothing is "
        "analysed and we are not ready",
    )
    self_promotion: SelfPromotion | None = Field(
        None,
        description="limits within which a version in the shadow becomes the active one by itself, after the same "
        "acceptance as ever; null: an operator promotes it",
    )
    triton: Triton = Triton()


class Analysis(_Frozen):
    """How much one analysis of the service may take. `thoracle analyse` has no such limits."""

    time_limit_s: float = Field(
        1800, gt=0, description="an analysis that takes longer is ended, and its job fails by name"
    )
    memory_limit_gb: float | None = Field(
        None,
        gt=0,
        description="so is one that takes more memory beyond what the worker had before; null: one with which the "
        "worker takes nine tenths of the memory of its machine or container",
    )


class Api(_Frozen):
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


class Monitoring(_Frozen):
    """Probes and metrics of a receiver or a worker that runs alone. No login: let only Prometheus reach it."""

    host: str = "127.0.0.1"
    port: Port | None = Field(
        None,
        description="`--role receiver` and `--role worker` answer `/livez`, `/readyz` and `/metrics` here, and every "
        "process's `/metrics` is its own; null: the api's `/metrics` adds up all processes of the `data_dir`",
    )


def default_repository() -> Path:
    """The model repository shipped with the package, or that of the source tree."""
    package = Path(__file__).resolve().parent
    shipped = package / "triton_repo"
    return shipped if shipped.is_dir() else package.parent / "triton_repo"


class Settings(BaseSettings):
    """The whole configuration of one service."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    data_dir: Path = Field(Path("data"), description="databases, received images, results; on a local disk")
    database_url: SecretStr | None = Field(
        None, description="postgresql+psycopg://user:password@host/database; default: SQLite files in `data_dir`"
    )
    database_tls: NamedTls = Field(
        None, description="TLS of PostgreSQL, whose certificate is checked (sslmode=verify-full); null: as its URL says"
    )
    bucket: Bucket | None = Field(
        None, description="where received images and results are kept; default: the folder `data_dir`"
    )
    encryption: Encryption = Encryption()
    pipelines: tuple[Annotated[PipelineChoice, _OrNameAlone()], ...] = Field(
        (PipelineChoice(name="covid-severity"),),
        min_length=1,
        description="which analyses to run, each a name or a name with rules, e.g. [covid-severity, {name: another, "
        "when: [{kernel: [B3*]}]}]; a study that several take has a job for each. As a variable: JSON",
    )
    institution: str = Field("", description="printed on the report where the CT names none")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    receiver: Receiver = Receiver()
    destinations: dict[DestinationName, AnyDestination] = Field(
        default_factory=dict, description="name: destination; results go to every one whose rules match"
    )
    retention: Retention = Retention()
    audit: AuditTrail = AuditTrail()
    inference: Inference = Field(default_factory=Inference)
    analysis: Analysis = Analysis()
    limits: GateLimits = GateLimits()
    api: Api = Api()
    monitoring: Monitoring = Monitoring()

    @model_validator(mode="before")
    @classmethod
    def _several_pipelines(cls, values: Any) -> Any:
        """Until version 0.2 there was one. Of variables that are no settings pydantic tells nothing."""
        one = os.environ.get("THORACLE_PIPELINE")
        if isinstance(values, dict) and (one := values.get("pipeline", one)) is not None:
            raise ValueError(f"`pipeline` is a list now: pipelines: [{one}]")
        return values

    @model_validator(mode="after")
    def _each_pipeline_once(self) -> Self:
        names = [one.name for one in self.pipelines]
        if len(set(names)) < len(names):
            raise ValueError("pipelines: each is named once; its `when` may have several rules")
        return self

    @model_validator(mode="after")
    def _database_is_told_once(self) -> Self:
        if self.database_tls is None:
            return self
        if self.database_url is None:
            raise ValueError("database_tls is for PostgreSQL: it needs database_url")
        if self.database_tls.ca is None:
            raise ValueError("database_tls.ca: PostgreSQL's client knows no authority of this machine")
        if any(name.startswith("ssl") for name, _ in parse_qsl(urlsplit(self.database_url.get_secret_value()).query)):
            raise ValueError("database_tls: leave ssl... out of database_url")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        secrets = _Secrets(file_secret_settings, _secrets_folders(), "error", secrets_nested_delimiter="__")
        return init_settings, env_settings, secrets, YamlConfigSettingsSource(settings_cls)


class _Secrets(NestedSecretsSettingsSource):
    """Files that are named as variables of ours; what else lies beside them is somebody else's."""

    @classmethod
    def load_secrets(cls, path: Path) -> dict[str, str]:
        return {file.name: _secret_in(file) for file in _ours(path)}


def _ours(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.iterdir()) if file.name.upper().startswith(_PREFIX) and file.is_file()]


def _secret_in(file: Path) -> str:
    """What it holds; SettingsError, with its name, if it cannot be read or is named as no setting is."""
    if file.name.upper().removeprefix(_PREFIX).partition("__")[0].lower() not in Settings.model_fields:
        raise SettingsError(f"{file}: no setting is called so")
    try:
        return file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file} holds no text") from error
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error


def _secrets_folders() -> list[Path]:
    """Where files hold settings, each in one named as its variable: systemd's credentials, then our own folder.

    SettingsError if a variable names a folder that is not there.
    """
    known = ("CREDENTIALS_DIRECTORY", "THORACLE_SECRETS")
    named = {name: Path(folder) for name in known if (folder := os.environ.get(name))}
    for name, path in named.items():
        if not path.is_dir():
            raise SettingsError(f"{name} names {path}, which is no folder")
    return list(named.values())


def secret_files() -> list[Path]:
    """The files in these folders."""
    return [file for folder in _secrets_folders() for file in _ours(folder)]


def trial_ct(settings: Settings) -> Path | None:
    """The CT on which models are tried: the configured one, that of the source tree or that which was installed."""
    tree, installed = Path(__file__).resolve().parent.parent / "demo" / "ct", Path(sys.prefix, *_TRIAL_CT)
    known = (settings.inference.trial_ct, *(folder for folder in (tree, installed) if folder.is_dir()))
    return next((folder for folder in known if folder), None)


def own_repository(settings: Settings) -> Path:
    """The model repository a site may change: the configured one, else one in `data_dir`; never the shipped one."""
    configured = "repository" in settings.inference.model_fields_set
    return settings.inference.repository if configured else settings.data_dir / "models"


def served_repository(settings: Settings) -> Path:
    """A site's own may have come in place of the shipped one since the settings were read."""
    return with_own_repository(settings).inference.repository


def load(config: Path | None) -> Settings:
    """Settings from an optional YAML file and the environment; pydantic.ValidationError names what is wrong."""

    class Loaded(Settings):
        model_config = SettingsConfigDict(yaml_file=config)

    return with_own_repository(Loaded())


def with_own_repository(settings: Settings) -> Settings:
    """The same settings with the site's own repository, if it has one by now."""
    own = own_repository(settings)
    if own == settings.inference.repository or not (own / "SHA256SUMS").is_file():
        return settings
    return settings.model_copy(update={"inference": settings.inference.model_copy(update={"repository": own})})
