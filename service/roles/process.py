"""Shared code of the processes: waiting for SIGTERM, probes and metrics."""

import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from prometheus_client.registry import Collector

from service import __version__
from service.composition.storage import host_locks, metrics_dir
from service.ops.counting_files import COUNTING, Counted, exposition
from service.ops.monitor import Listener
from service.ops.probes import Health, create_monitor
from service.settings import Settings
from service.store.names import RECEIVED, RESULTS

now = partial(datetime.now, UTC)


def folders(settings: Settings) -> Sequence[Path]:
    """That must be writable, if they are there."""
    return (settings.data_dir, *(settings.data_dir / name for name in (RECEIVED, RESULTS)))


def measured(settings: Settings, name: str, *more: Collector) -> bytes:
    """Metrics, of all processes beside this one unless each answers for itself. name: by which this process counts."""
    alone = settings.monitoring.port is not None
    living = host_locks(settings).claimed(COUNTING)
    return exposition(Counted(metrics_dir(settings), living, name if alone else None), *more)


def monitor(
    settings: Settings, name: str, alive: Callable[[], Health], ready: Callable[[], Health]
) -> AbstractContextManager[object]:
    """Probes and metrics of a process that runs alone, where the settings want them."""
    ours = settings.monitoring
    if ours.port is None:
        return nullcontext()
    app = create_monitor(__version__, alive, ready, lambda: measured(settings, name))
    return Listener("monitoring", app, ours.host, ours.port)


def stop_asked() -> threading.Event:
    """Set at SIGTERM or SIGINT from now on. To be called before anybody can see that the process is up."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def wait_for(stop: threading.Event, alive: Callable[[], bool]) -> bool:
    """True when stop is set; False when what the process is for is no longer alive."""
    while not stop.wait(0.5):
        if not alive():
            return False
    return True
