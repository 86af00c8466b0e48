"""The receiver, and who may call it."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from service.domain.ae_title import entry_of
from service.domain.pressure import Marks
from service.domain.priority import Urgency
from service.settings.tls import PortTls, Tls
from service.settings.values import AETitle, Frozen, Network, Port, is_here


class Caller(Frozen):
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


class Receiver(Frozen):
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
