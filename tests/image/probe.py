"""Runs inside the image, by `python -c`: what its user may do and what is there, as JSON."""

import importlib.util
import json
import os
import platform
import shutil
import time
from datetime import datetime, timedelta
from pathlib import Path

from service.settings import default_repository, load, trial_ct


def writable(folder: str) -> bool:
    probe = Path(folder, "probe")
    try:
        probe.touch()
    except OSError:
        return False
    probe.unlink()
    return True


def zone_known(name: str) -> bool:
    """By the C library, as the service's clock is set by the variable TZ."""
    os.environ["TZ"] = name
    time.tzset()
    return datetime(2026, 1, 1).astimezone().utcoffset() == timedelta(hours=1)


def status(field: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{field}:"))


print(
    json.dumps(
        {
            "uid": os.getuid(),
            "capabilities": int(status("CapEff"), 16),
            "no_new_privileges": status("NoNewPrivs") == "1",
            "read_only": bool(os.statvfs("/").f_flag & os.ST_RDONLY),
            "writable": [f for f in ("/", "/etc", "/opt/thoracle", "/tmp", "/usr", "/var/lib/thoracle") if writable(f)],
            "modules": [m for m in ("torch", "pytest", "pip", "models", "service") if importlib.util.find_spec(m)],
            "programs": [p for p in ("gcc", "cc", "pip", "thoracle") if shutil.which(p)],
            "models_linked": Path("/opt/thoracle/share/thoracle/models").resolve() == default_repository(),
            "trial_images": len(list(trial.glob("*.dcm"))) if (trial := trial_ct(load(None))) else 0,
            "zone_known": zone_known("Europe/Berlin"),
            "system": platform.freedesktop_os_release(),
            "bill": json.loads(Path("/usr/share/doc/thoracle/sbom.cdx.json").read_text()),
        }
    )
)
