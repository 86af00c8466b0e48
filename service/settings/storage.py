"""Where files lie, for how long, and whether they are encrypted."""

from base64 import b64decode
from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from service.domain.key_length import KEY_BYTES
from service.settings.tls import NamedTls, Tls
from service.settings.values import Frozen, WebAddress


def _of_bucket(tls: Tls | None) -> Tls | None:
    """The same; ValueError where the client of S3 cannot do what it says."""
    if tls is not None and (tls.certificate or tls.crl or not tls.ca):
        raise ValueError("`ca` and nothing else: credentials come from the environment, and revocations go unchecked")
    return tls


class Bucket(Frozen):
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
    if len(found) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} random bytes in base64: make one with `openssl rand -base64 32`")
    return key


MasterKey = Annotated[SecretStr, AfterValidator(_of_32_bytes)]


class Encryption(Frozen):
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


class Retention(Frozen):
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
