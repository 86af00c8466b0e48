"""TLS of all connections and ports: TLS 1.2 and 1.3, with forward secrecy (BCP 195, as PS3.15 B.12 wants it).

Where TLS is configured nothing is ever said without it, and nobody is believed whose certificate is not right.
"""

import logging
import re
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from service.errors import Permanent

log = logging.getLogger(__name__)

_AGAIN_S = 10.0
"""After this time files that were no use are tried again, though they look the same."""

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Cipher suites of TLS 1.2, as OpenSSL writes them (RFC 9325 4.2). Those of TLS 1.3 are all as good."""

_PEM = re.compile(rb"-----BEGIN (CERTIFICATE|X509 CRL)-----.*?-----END \1-----", re.DOTALL)

_UNKNOWN = "no authority that we believe (`ca`) has signed it"
_NOT_RIGHT = {18: "it has signed itself, and `ca` does not name it", 19: _UNKNOWN, 20: _UNKNOWN, 21: _UNKNOWN}
"""By OpenSSL's X509_V_ERR; its own words for the others are plain."""

_REASONS = {
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
    "HTTP_REQUEST": "it speaks HTTP without TLS",
    "UNSUPPORTED_PROTOCOL": "it speaks no TLS newer than 1.1",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it speaks no TLS newer than 1.1",
    "NO_SHARED_CIPHER": "it has no cipher with forward secrecy in common with us",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it refuses the handshake: it wants a certificate, or has no cipher in common",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it shows no certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate of ours (`certificate` and `key`)",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know who signed our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it refuses our certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it refuses our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired, it says",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "our certificate was revoked, it says",
    "NO_RENEGOTIATION": "it wants to negotiate anew",
}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. certificate: our own, with those between it and its authority; key: its key, None: in the same file.

    ca: who must have signed the other side's certificate. crl: what these have revoked. name: for which host the other
    side's certificate must be made out; "": the one that is called.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    crl: Path | None = None
    name: str = ""

    @property
    def named(self) -> dict[str, Path]:
        """Those that there are, by what they are."""
        all_of_them = {"certificate": self.certificate, "key": self.key, "ca": self.ca, "crl": self.crl}
        return {what: path for what, path in all_of_them.items() if path is not None}


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """What we call others with: they must show a certificate that `ca` signed, else an authority of this machine.

    Permanent, in words, if a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificates and names
    if files.ca is None:
        context.load_default_certs()
    return _with_files(context, files)


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """What others call us with; with `ca` they must show a certificate. Permanent, in words, if a file is no use."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if files.ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return _with_files(context, files)


class FollowedFiles:
    """The context of a port, as its files are now: certificates are renewed without a restart.

    Files that cannot be used, half-written ones too, leave the context as it was.
    """

    def __init__(self, files: TlsFiles, made: Callable[[TlsFiles], ssl.SSLContext] = server_context) -> None:
        """Permanent, in words, if a file cannot be used."""
        self._files, self._made = files, made
        self._seen = _stamps(files)
        self._context = made(files)
        self._refused: tuple[object, float] = (None, 0.0)
        self._changing = Lock()

    @property
    def context(self) -> ssl.SSLContext:
        """The one for the next connection."""
        with self._changing:
            seen = _stamps(self._files)
            again_s = time.monotonic()
            if seen != self._seen and (seen != self._refused[0] or again_s - self._refused[1] > _AGAIN_S):
                try:
                    self._context = self._made(self._files)
                    self._seen = seen
                    log.info("certificates were read anew: %s", ", ".join(map(str, self._files.named.values())))
                except Permanent as error:
                    self._refused = seen, again_s
                    log.error("new certificates cannot be used, the old ones stay: %s", error)
            return self._context


def why_not(error: ssl.SSLError) -> str:
    """What is wrong with the other side, or with us as it says, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not right: {_NOT_RIGHT.get(error.verify_code, error.verify_message)}"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "it ended the connection"
    reason = error.reason or type(error).__name__
    return _REASONS.get(reason, reason.lower().replace("_", " "))


def names_in(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """Who it is made out to: its common names and its host names. certificate: as `SSLSocket.getpeercert` gives it."""
    if not certificate:
        return frozenset()
    subject = [value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"]
    return frozenset([*subject, *(value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS")])


def ends(files: TlsFiles) -> dict[Path, datetime]:
    """Until when each file is of use: its first certificate or list that ends, or the last authority of `ca`.

    Permanent, in words, if one cannot be read.
    """
    found = {}
    for what, last_of in (("certificate", min), ("ca", max), ("crl", min)):
        path = files.named.get(what)
        if path is not None and (all_of_it := _ends_in(path)):
            found[path] = last_of(all_of_it)
    return found


def usable(files: TlsFiles, server: bool) -> None:
    """Permanent, in words, if they are no use. server: of a port of ours."""
    (server_context if server else client_context)(files)


def _ends_in(path: Path) -> list[datetime]:
    """When each certificate or list of revocations in a file ends, of those that can be read: OpenSSL reads more."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Permanent(f"{path} cannot be read: {error.strerror}") from error
    found = []
    for kind, block in ((match[1], match[0]) for match in _PEM.finditer(content)):
        with suppress(ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
            if kind == b"X509 CRL":
                found.append(x509.load_pem_x509_crl(block).next_update_utc or datetime.max.replace(tzinfo=UTC))
            else:
                found.append(x509.load_pem_x509_certificate(block).not_valid_after_utc)
    return found


def _with_files(context: ssl.SSLContext, files: TlsFiles) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    for what, path in files.named.items():
        try:
            with path.open("rb"):
                pass
        except OSError as error:
            raise Permanent(f"{what} {path} cannot be read: {error.strerror}") from error
    if files.certificate:
        _load_own(context, files.certificate, files.key)
    for what in ("ca", "crl"):
        if signed := files.named.get(what):
            try:
                context.load_verify_locations(signed)
            except ssl.SSLError as error:
                raise Permanent(f"{what} {signed} is no use: {error.reason or 'it holds no such PEM'}") from error
    if files.crl:
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    return context


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    def password() -> bytes:
        raise _Encrypted  # else OpenSSL asks at the terminal, where nobody is

    try:
        context.load_cert_chain(certificate, key, password)
    except _Encrypted as error:
        raise Permanent(f"key {key or certificate} is encrypted: only a key without a password is of use") from error
    except ssl.SSLError as error:
        what = "its key is another's" if error.reason == "KEY_VALUES_MISMATCH" else error.reason
        raise Permanent(f"certificate {certificate} is no use: {what or 'no certificate and key (PEM)'}") from error


class _Encrypted(Exception):
    """A password is asked for."""


def _stamps(files: TlsFiles) -> tuple[tuple[int, ...] | None, ...]:
    """What changes when a file is written, replaced or given other rights."""
    return tuple(_stamp(path) for path in files.named.values())


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
