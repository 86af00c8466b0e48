"""A process whose analysis does not end by itself: `python watched_process.py FOLDER KIND TIME_S MEMORY_BYTES`.

What the watchdog records is printed. The file FOLDER/unwanted, if there is one, cancels the job.
"""

import os
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from service.analysis import watchdog
from service.analysis.watchdog import JobLimits, Watchdog

FOLDER, KIND, TIME_S, MEMORY_BYTES = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4])


class NoBackend:
    """Asked nothing."""

    def cancel(self) -> None:
        tell("calls are cancelled")


def tell(*words: object) -> None:
    os.write(sys.stdout.fileno(), (" ".join(map(str, words)) + "\n").encode())


def loop() -> None:
    while True:
        pass


def lock() -> None:
    one = threading.Lock()
    one.acquire()
    one.acquire()


def numpy() -> None:
    matrix = np.ones((1500, 1500))
    while True:
        matrix = np.linalg.svd(matrix + np.eye(1500))[0]


def hog() -> None:
    kept = []
    while True:
        kept.append(np.ones(4_000_000))
        time.sleep(0.02)


def regex() -> None:
    """Never gives the interpreter's lock back."""
    re.match("(a+)+$", "a" * 60 + "b")


def none() -> None:
    """An analysis that ends by itself."""


def end_process() -> None:
    tell("ended")
    os._exit(1)


KINDS: dict[str, Callable[[], None]] = {f.__name__: f for f in (loop, lock, numpy, hog, regex, none)}

watchdog._DEAF_S = 0.5
for kind in (watchdog.OverTime, watchdog.OverMemory, watchdog.Unwanted):
    kind.grace_s = 0.3
limits = JobLimits(TIME_S, MEMORY_BYTES)
dog = Watchdog(limits, FOLDER / "run", lambda: True, lambda cause: tell("counted", cause), end_process)
dog.start()
wanted = lambda: not (FOLDER / "unwanted").exists()  # noqa: E731
try:
    with dog.over("job", NoBackend(), wanted, lambda why: tell("recorded", why)):  # type: ignore[arg-type]
        tell("begun")
        KINDS[KIND]()
except watchdog.Stopped as error:
    tell("stopped", error)
else:
    tell("not stopped")
