"""Hosts whose packets can vanish: Linux network namespaces, joined to this one by veth pairs. Needs root and iproute2.

    with Namespace() as elsewhere:
        link = elsewhere.link()
        subprocess.Popen([*elsewhere.within, "storescp", "4242"])   # reached at link.there
        link.cut()                                                  # no packet passes, and nobody is told
        link.heal()

A cut is that of a cable far away: interfaces stay up, no address is unreachable, no connection is reset. Each end is
told a wrong hardware address of the other, so the kernel there drops what comes.
"""

import os
import random
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

_NOBODY = "02:00:00:00:00:00"


class Namespace:
    """A network of its own, used in a `with` block. A process in it reaches only itself and what it is linked to."""

    def __init__(self) -> None:
        self._name = f"t{uuid.uuid4().hex[:8]}"
        self._links = 0

    def __enter__(self) -> Self:
        _require()
        _ip("netns", "add", self._name)
        _ip("-n", self._name, "link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        _ip("netns", "delete", self._name)  # its links go with it

    @property
    def within(self) -> tuple[str, ...]:
        """What a command begins with to run here; it stays the same process."""
        return ("ip", "netns", "exec", self._name)

    def link(self) -> "Link":
        """A new cable to the network of the tests. Several may be cut one by one."""
        self._links += 1
        outer, inner = f"{self._name}o{self._links}", f"{self._name}i{self._links}"
        network = f"10.213.{random.randrange(256)}.{4 * random.randrange(64)}"
        first, number = network.rsplit(".", 1)
        here, there = f"{first}.{int(number) + 1}", f"{first}.{int(number) + 2}"
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", self._name)
        for command, device, address in ((_HERE, outer, here), (("-n", self._name), inner, there)):
            _ip(*command, "address", "add", f"{address}/30", "dev", device)
            _ip(*command, "link", "set", device, "up")
        link = Link(here, there, self._name, outer, inner)
        link.heal()
        return link


@dataclass(frozen=True, slots=True)
class Link:
    """here, there: addresses of the tests' end and of the namespace's."""

    here: str
    there: str
    _namespace: str
    _outer: str
    _inner: str

    @property
    def sent_bytes(self) -> int:
        """How much has left the tests' end so far."""
        return int(Path(f"/sys/class/net/{self._outer}/statistics/tx_bytes").read_text())

    def cut(self) -> None:
        """From now on every packet vanishes, in both directions."""
        self._neighbours(_NOBODY, _NOBODY)

    def heal(self) -> None:
        """Packets pass again."""
        self._neighbours(_hardware_address(("-n", self._namespace), self._inner), _hardware_address(_HERE, self._outer))

    def _neighbours(self, inner: str, outer: str) -> None:
        """Who the other end is, as each is told for good."""
        _ip("neighbour", "replace", self.there, "lladdr", inner, "dev", self._outer, "nud", "permanent")
        inside = ("-n", self._namespace, "neighbour", "replace", self.here, "lladdr", outer)
        _ip(*inside, "dev", self._inner, "nud", "permanent")


_HERE: tuple[str, ...] = ()


def _hardware_address(where: tuple[str, ...], device: str) -> str:
    shown = _ip(*where, "-brief", "link", "show", device)
    return shown.split()[2]


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def _require() -> None:
    if os.geteuid() == 0 and any(Path(folder, "ip").exists() for folder in ("/sbin", "/usr/sbin", "/bin")):
        return
    reason = "network namespaces need root and iproute2"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
