"""Runs all processes of a service on one host, under a supervisor."""

import sys
from pathlib import Path

from service.composition.storage import damaged_files, host_locks
from service.errors import Permanent
from service.ops.supervisor import supervise
from service.settings import Settings
from service.store.presence import presence, present


def run(settings: Settings, config: Path | None) -> int:
    """Start receiver, worker and API as processes of their own and mind them until SIGTERM; 0 after a clean stop.

    Permanent for what no restart would mend, and when this data directory is served already.
    """
    if settings.monitoring.port is not None:
        raise Permanent(
            "monitoring.port is for processes that run alone (--role receiver, --role worker); here the api answers "
            "for all of them. Leave it out of the configuration"
        )
    here = host_locks(settings)
    if present(here, "serve"):
        raise Permanent(f"'thoracle serve' is already running on the data directory {settings.data_dir}")
    with presence(here, "serve"):
        for wrong in damaged_files(settings):
            raise Permanent(wrong)
        arguments = ["--config", str(config)] if config else []
        command = [sys.executable, "-m", "service", "serve", *arguments, "--role"]
        # The worker first: it has the most to load.
        return supervise({role: [*command, role] for role in ("worker", "receiver", "api")})
