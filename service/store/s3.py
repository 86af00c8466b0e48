"""The S3 bucket of an object spool. Credentials: given, or from the environment (AWS_*) or the host's role."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from obstore.exceptions import BaseError
from obstore.store import S3Store

from service.errors import Permanent

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config  # obstore has them for type checkers only

_RETRY_S = 15.0
"""A sender waits meanwhile; most give up after 30 s or more."""


def s3_store(
    url: str,
    endpoint: str | None = None,
    region: str | None = None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    retry_s: float = _RETRY_S,
    ca: Path | None = None,
) -> S3Store:
    """The store at `s3://bucket/prefix`; nothing is asked of it yet. Permanent if the settings cannot be right.

    endpoint: of any other server than AWS; with http:// nothing is encrypted. retry_s: how long a request that fails
    is tried again before it is an error. ca: an authority (PEM) that this machine does not know.
    """
    given = {
        "endpoint": endpoint,
        "region": region,
        "access_key_id": access_key_id,
        "secret_access_key": secret_access_key,
    }
    if not url.startswith("s3://"):
        raise Permanent(f"{url!r} is not the address of a bucket: s3://bucket/prefix")
    options: ClientConfig = {"allow_http": (endpoint or "").startswith("http://")}
    if ca is not None:
        try:
            options["root_certificate"] = ca.read_bytes()
        except OSError as error:
            raise Permanent(f"ca {ca} cannot be read: {error.strerror}") from error
    try:
        return S3Store.from_url(
            url,
            config=cast("S3Config", {key: value for key, value in given.items() if value is not None}),
            client_options=options,
            retry_config={
                "retry_timeout": timedelta(seconds=retry_s),
                "max_retries": 1000,  # the time counts, not the number
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=2),
                    "base": 2,
                },
            },
        )
    except (BaseError, ValueError) as error:  # ValueError: `ca` holds no certificate
        why = str(error).partition("\n")[0]
        raise Permanent(f"the settings of {url!r} cannot be used: {why}") from error
