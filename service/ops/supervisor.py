"""Keeps the service's processes alive: one per role, restarted when one dies, stopped together."""

import ctypes
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

log = logging.getLogger(__name__)

HOPELESS = os.EX_CONFIG
"""Exit code of a process that no restart would mend."""

_RESTART_AFTER_S = 1.0
_STEADY_AFTER_S = 30.0
_LONGEST_WAIT_S = 60.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Program:
    """What a process runs. descriptors: open files that it is handed down, under the same numbers."""

    command: Sequence[str]
    descriptors: Sequence[int] = ()


@dataclass
class _Child:
    role: str
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    wait_s: float = _RESTART_AFTER_S
    start_at: float = field(default_factory=time.monotonic)
    first: bool = True
    hopeless: bool = False

    def start(self) -> None:
        # A session of its own: Ctrl-C reaches only the supervisor, which then stops the children in order.
        stop_with_us = partial(_stop_with, os.getpid())
        self.process = subprocess.Popen(
            self.program.command,
            pass_fds=self.program.descriptors,
            start_new_session=True,
            preexec_fn=stop_with_us,
        )
        self.started = time.monotonic()

    def check(self) -> None:
        """Start the process when it is due; when it died, plan its restart, later and later if it dies at once.

        Hopeless only if it never ran: later the other processes go on with what they can do.
        """
        now = time.monotonic()
        if self.process is None:
            if now >= self.start_at:
                self.start()
            return
        if (code := self.process.poll()) is None:
            return
        if code == HOPELESS and self.first:
            self.hopeless = True
            return
        self.first = False
        steady = now - self.started > _STEADY_AFTER_S
        self.wait_s = _RESTART_AFTER_S if steady else min(2 * self.wait_s, _LONGEST_WAIT_S)
        log.error("%s ended with code %s, starting it again in %.0f s", self.role, code, self.wait_s)
        self.process, self.start_at = None, now + self.wait_s


def supervise(
    programs: Mapping[str, Program],
    stop_timeout_s: float = 45.0,
    unused: Callable[[], None] = lambda: None,
    stopping: Callable[[], None] = lambda: None,
) -> int:
    """Run one process for each, by its name, until SIGTERM or SIGINT; 0 when all of them stopped cleanly, else 1.

    Ends too, with 1, when one of them finds at its first start that no restart would mend it. unused: called while no
    process that was handed files runs; stopping: before they are asked to stop.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    children = [_Child(role, program) for role, program in programs.items()]
    while not stop.is_set():
        for child in children:
            child.check()
        if any(child.hopeless for child in children):
            break
        if not any(child.process for child in children if child.program.descriptors):
            unused()
        stop.wait(0.2)
    stopping()
    running = [c.process for c in children if c.process]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + stop_timeout_s
    return max([_reap(p, deadline) for p in running], default=0)


def _stop_with(supervisor: int) -> None:
    """Runs in the new child: the kernel sends it SIGTERM when the supervisor dies, be it by SIGKILL."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:  # it died before we asked
        os._exit(1)


def _reap(process: subprocess.Popen[bytes], deadline: float) -> int:
    try:
        # Ended by the signal itself: it was still starting and had nothing in hand.
        return 0 if process.wait(max(0.1, deadline - time.monotonic())) in (0, -signal.SIGTERM) else 1
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return 1
