"""Section 9: security profiles, as the TLS contexts of this machine are."""

import ssl

from service.conformance.rows import Section, Table, table
from service.domain.audit_event import EVENTS
from service.settings import Settings
from service.tls import CIPHERS, TlsFiles, client_context, server_context

_MADE = {"port": server_context, "connection": client_context}

PROFILES = (
    (
        "bcp-195",
        "BCP 195 RFC 8996, 9325 TLS Secure Transport Connection Profile (PS3.15 B.12)",
        "as receiver, and in every role as SCU",
        "TLS 1.2 with ECDHE and AES-GCM or ChaCha20-Poly1305, TLS 1.3; no renegotiation, no compression. A port or "
        "connection with TLS never goes without. Certificates of both sides, revocation lists by file, names of "
        "hosts are checked ([use TLS](../how-to/use-tls.md))",
    ),
    (
        "audit-trail",
        "Audit Trail Message Format (PS3.15 A.5) and its transmission by syslog",
        "receiver, worker, API and command line",
        "with `audit.collector`: RFC 5424, section 9.3. Who changed what is also in a trail of the "
        "service's own, which is chained and signed "
        "([decision 177](../decisions/0177-the-audit-trail-is-a-chain.md))",
    ),
    ("signatures", "Digital Signatures (PS3.15 C)", "not supported", "none are made; those of received objects stay"),
    (
        "identity",
        "User Identity (PS3.7 D.3.3.7)",
        "not supported",
        "a request that has one is accepted as one without: it is not looked at",
    ),
)
"""Security profiles: key, profile, where, how. A new one is one more line."""


def security(settings: Settings, here: bool) -> Section:
    """The profiles, and what this configuration uses of them. here: with what OpenSSL of this machine makes of it."""
    return Section(
        "9. Security profiles",
        [
            "### 9.1 Profiles",
            table("security-profiles", ("Profile", "Where", "How"), PROFILES),
            "### 9.2 Versions and cipher suites of TLS",
            "TLS 1.2 and TLS 1.3, on our ports and on our connections. Cipher suites of TLS 1.2 are those that OpenSSL "
            f"names `{CIPHERS}`, those of TLS 1.3 all that it has by default. `thoracle conformance` lists those of "
            "the machine that it runs on.",
            *(_of_this_machine() if here else ()),
            "### 9.3 Audit messages",
            table("audit-events", ("Event", "When"), [(one.value, one.meaning, when) for one, when in EVENTS]),
            f"In this configuration {_collector(settings)}. No patient records are kept "
            "([send audit messages](../how-to/send-audit-messages.md)).",
            "### 9.4 Association level\n\n"
            "Who may call is decided by AE title, address and certificate (section 5.2). An AE title alone proves "
            "nothing.",
            f"TLS of the receiver is {'on' if settings.receiver.tls else 'off'} in this configuration.",
        ],
    )


def _of_this_machine() -> list[str | Table]:
    return ["As OpenSSL of this machine offers them:", versions(), ciphers()]


def _collector(settings: Settings) -> str:
    there = settings.audit.collector
    if there is None:
        return "there is no collector, and nobody is told"
    way = "over TLS (RFC 5425)" if there.tls else "over TCP without TLS, on this machine"
    return f"they go to {there.host}:{there.port} by syslog {way}"


def versions() -> Table:
    """Versions between the least and the newest one."""
    floor = {made(TlsFiles()).minimum_version for made in _MADE.values()}
    known = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    rows = [(one.name, one.name.replace("TLSv", "TLS ").replace("_", "."), _spoken(one >= min(floor))) for one in known]
    return table("tls-versions", ("Version", "Spoken"), rows)


def ciphers() -> Table:
    """Cipher suites of ports and connections, the preferred ones first."""
    offered = {what: [one["name"] for one in made(TlsFiles()).get_ciphers()] for what, made in _MADE.items()}
    every = dict.fromkeys(name for names in offered.values() for name in names)
    rows = [(name, name, *(_spoken(name in offered[what]) for what in _MADE)) for name in every]
    return table("tls-ciphers", ("Cipher suite", "Our ports", "Our connections"), rows)


def _spoken(is_so: bool) -> str:
    return "yes" if is_so else "no"
