"""The audit trail and audit messages."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from service.settings.tls import Tls
from service.settings.values import Frozen, is_here


class AuditCollector(Frozen):
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


class AuditTrail(Frozen):
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
