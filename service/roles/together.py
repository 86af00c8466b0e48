"""Runs all processes of a service on one host, under a supervisor."""

import socket
import sys
from functools import partial
from pathlib import Path

from service.composition.storage import damaged_files, host_locks
from service.errors import Permanent
from service.network.listening_port import refuse
from service.ops.supervisor import Program, supervise
from service.roles.receiver_port import receiver_port
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
        if settings.api.open_to_others:
            raise Permanent(settings.api.open_to_others)
        for wrong in damaged_files(settings):
            raise Permanent(wrong)
        with receiver_port(settings) as port:
            programs = _programs(config, port, settings.receiver.processes)
            return supervise(programs, unused=partial(refuse, port), stopping=port.close)


def _programs(config: Path | None, port: socket.socket, receivers: int) -> dict[str, Program]:
    """The worker first: it has the most to load."""
    arguments = ["--config", str(config)] if config else []
    command = [sys.executable, "-m", "service", "serve", *arguments]
    listening = ["--listening", str(port.fileno())]
    receiver = Program([*command, *listening, "--role", "receiver"], (port.fileno(),))
    names = ["receiver"] if receivers == 1 else [f"receiver {number + 1}" for number in range(receivers)]
    worker, api = (Program([*command, "--role", role]) for role in ("worker", "api"))
    return {"worker": worker, **dict.fromkeys(names, receiver), "api": api}
