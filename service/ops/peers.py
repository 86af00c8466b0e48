"""Addresses of connections, as limits count them."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_OF_ONE_HOST = 64
"""Bits of an IPv6 address that tell the network; a host may take any address within it (RFC 4291, 2.5.4)."""


def ip_of(address: str) -> IPv4Address | IPv6Address | None:
    """Return the address of a connection, an IPv4 one within IPv6 as IPv4; None if it is none."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def peer_of(address: str) -> str:
    """Return by what a connection is counted: its IPv4 address, or the /64 of its IPv6 address."""
    found = ip_of(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found), _OF_ONE_HOST), strict=False))
    return address if found is None else str(found)
