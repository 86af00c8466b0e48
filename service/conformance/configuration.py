"""Sections 4 and 5: network interfaces, and the addresses and titles of this configuration."""

from service.composition.callers import callers
from service.conformance.rows import Section, Table, table
from service.network.callers import ANYWHERE
from service.settings import Settings


def interfaces() -> Section:
    """Section 4."""
    return Section(
        "4. Network interfaces",
        [
            "DICOM upper layer (PS3.8) over TCP/IP, by pynetdicom; with or without TLS (section 9). IPv4 and IPv6, "
            "as the machine has them. Physical network, name resolution and routing are those of the machine.",
        ],
    )


def configuration(settings: Settings) -> Section:
    """Section 5."""
    ours = settings.receiver
    return Section(
        "5. Configuration",
        [
            "All of it is in one file, or in environment variables: [settings](settings.md). Remote application "
            "entities are in `receiver.callers` and `destinations`.",
            "### 5.1 Receiver",
            table(
                "receiver",
                ("Setting", "Value"),
                [
                    ("ae_title", "AE title", ours.ae_title),
                    ("host", "Address", ours.host),
                    ("port", "Port", str(ours.port)),
                    ("tls", "TLS", _tls(settings)),
                    ("max_object_gb", "Largest object", f"{ours.max_object_gb:g} GB"),
                    ("quiet_s", "A study is complete after", f"{ours.quiet_s:g} s without a CT image"),
                    ("min_free_gb", "New studies are refused with less space than", f"{ours.min_free_gb:g} GB"),
                    ("max_waiting", "or with as many waiting jobs as", str(ours.max_waiting or "any number")),
                ],
            ),
            "### 5.2 Who may call",
            *_callers(settings),
            "### 5.3 Destinations\n\nSection 3.2.3.",
        ],
    )


def _tls(settings: Settings) -> str:
    tls = settings.receiver.tls
    if tls is None:
        return "off"
    return "on; callers must show a certificate" if tls.ca else "on; callers need no certificate"


def _callers(settings: Settings) -> list[str | Table]:
    known = callers(settings)
    if known is None:
        return ["Whoever is on this machine: no callers are configured."]
    rows = [
        (
            name,
            f"`{name}`",
            "anywhere" if one.networks == ANYWHERE else ", ".join(map(str, one.networks)),
            ", ".join(one.certificates) or "any",
            ", ".join(sorted(right.value for right in one.may)),
        )
        for name, one in known.items()
    ]
    return [table("callers", ("Calling AE title", "From", "Certificate", "May"), rows)]
