"""Values that several settings share."""

import re
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

AETitle = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=16, pattern=r"^[^\\]+$")]
Port = Annotated[int, Field(ge=1, le=65535)]
DestinationName = Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_.-]+$")]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def is_here(host: str) -> bool:
    """Whether this is a name or an address by which a machine speaks with itself only."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


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


def _without_credentials(url: str) -> str:
    """The same; ValueError if it holds a name or a password: addresses are logged."""
    if "@" in urlsplit(url).netloc:
        raise ValueError("an address holds no user and no password: they have settings of their own")
    return url


def is_loopback_address(url: str) -> bool:
    """Whether a web address names this machine."""
    return is_here(urlsplit(url).hostname or "")


WebAddress = Annotated[str, StringConstraints(pattern="^https?://"), AfterValidator(_without_credentials)]


def _origin(url: str) -> str:
    """The address as a browser writes its origin (RFC 6454, 6.2); ValueError if it is more than that, or no address."""
    found = urlsplit(url)
    host, port = found.hostname or "", found.port
    if found.path not in ("", "/") or "?" in url or "#" in url:
        raise ValueError("without a path; the API is at the top of its host")
    if port == 0 or not (_HOST.fullmatch(host) or _is_ip(host)):
        raise ValueError("a host of letters, digits, dots and hyphens (xn--... for others), and a port")
    shown = f"[{host}]" if ":" in host else host
    return f"{found.scheme}://{shown}" + ("" if port in (None, _PORTS[found.scheme]) else f":{port}")


def _is_ip(host: str) -> bool:
    with suppress(ValueError):
        return bool(ip_address(host))
    return False


def _host_name(name: str) -> str:
    """The name in lower case; ValueError if it is an address of the web, has a port, or is none."""
    if not _HOST.fullmatch(name.lower()):
        raise ValueError("a name of a host, without scheme, port and wildcard, for instance thoracle.hospital.example")
    return name.lower().rstrip(".")


_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
_PORTS = {"http": 80, "https": 443}

Origin = Annotated[WebAddress, AfterValidator(_origin)]
"""scheme://host, and :port where it is not that of the scheme."""

HostName = Annotated[str, AfterValidator(_host_name)]
