"""How much memory this process has, and how much it may have."""

import os
from pathlib import Path

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Files with the memory limit of a container, for both versions of cgroups."""


def rss_bytes() -> int:
    """Resident memory of this process (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def machine_bytes() -> float:
    """Memory of the machine, or of the container if it has less."""
    machine = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _LIMITS:
        try:
            return min(machine, float(path.read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such version, or "max": no limit
            continue
    return machine
