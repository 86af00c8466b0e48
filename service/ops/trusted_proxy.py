"""Who a trusted proxy says that it is, by two headers that it sets in every request.

A header that a caller could have sent along is not believed: each of the two stands in one line, or the request is
nobody's. Names and groups are UTF-8, in the composed form of Unicode (NFC), so that one person has one name.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from starlette.datastructures import Headers

from service.domain.login import Means, Person, Role, composed, is_name, roles_of
from service.ops.peers import ip_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrustedProxy:
    """A proxy that asks for the login. networks: its addresses; user, groups: names of its headers."""

    networks: Sequence[IPv4Network | IPv6Network]
    user: str
    groups: str
    roles: Mapping[str, Role]

    def person(self, address: str, headers: Headers) -> Person | None:
        """Return who the proxy says that it is; None if the connection is not the proxy's, or if nobody logged in.

        Several lines of a header in one request are refused: one of them came from behind the proxy.
        """
        if not self._is_from(address) or self.user not in headers:
            return None
        try:
            name, groups = _only(headers, self.user), _only(headers, self.groups)
        except ValueError as error:
            log.warning("a request of the proxy %s was refused: %s", address, error)
            return None
        if not is_name(name):
            log.warning("a request of the proxy %s was refused: %s holds no name", address, self.user)
            return None
        return Person(name, Means.PROXY, roles_of((one.strip() for one in groups.split(",")), self.roles))

    def _is_from(self, address: str) -> bool:
        found = ip_of(address)
        return found is not None and any(found in network for network in self.networks)


def _only(headers: Headers, name: str) -> str:
    """Return the text of a header, "" if there is none; ValueError, without the text, where it cannot be believed."""
    lines = headers.getlist(name)
    if len(lines) > 1:
        raise ValueError(f"{len(lines)} lines of {name}: the proxy must set or delete it in every request")
    try:
        return composed("".join(lines).encode("latin-1").decode())
    except UnicodeDecodeError:
        raise ValueError(f"{name} is not UTF-8") from None
