"""The time zone of this process, named by `TZ`. A name that the C library does not know counts as UTC, unsaid."""

import os
import re
from pathlib import Path

from service.errors import Permanent

_RULE = re.compile(r"(<[A-Za-z0-9+-]+>|[A-Za-z]{3,})[+-]?\d")
"""Such as CET-1CEST (POSIX.1-2017, 8.3)."""


def check_zone() -> None:
    """Permanent if `TZ` names no zone: routing by the time of day and DICOM times without an offset would be in UTC."""
    name = os.environ.get("TZ", "").removeprefix(":")
    if name in ("", "UTC") or _RULE.match(name) or (Path("/usr/share/zoneinfo") / name).is_file():
        return
    raise Permanent(
        f"TZ is {name!r}, which is no time zone on this machine and would count as UTC. Set one that is, for example "
        "TZ=Europe/Berlin; without TZ the machine's own is taken. Zones are in /usr/share/zoneinfo (package tzdata)"
    )
