"""Several modalities that send at once: DCMTK's dcmsend, each a process with its own AE title and study.

dcmsend, because a sender in Python would take more processor time than the receiver that it is to load.
"""

import re
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from helpers.dicom_peers import ENVIRONMENT, require

# Before each line of dcmsend's log the seconds since the epoch, with milliseconds.
_LOG = """
log4cplus.rootLogger = INFO, out
log4cplus.appender.out = log4cplus::ConsoleAppender
log4cplus.appender.out.layout = log4cplus::PatternLayout
log4cplus.appender.out.layout.ConversionPattern = %D{%s.%q} %m%n
"""
_ASKED = re.compile(r"^(\d+\.\d+) Sending C-STORE Request", re.MULTILINE)
_ANSWERED = re.compile(r"^(\d+\.\d+) Received C-STORE Response \(Success\)", re.MULTILINE)
_REJECTED = "Association Rejected"
_RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class Sent:
    """latency_s: of each slice, from its C-STORE request to the answer. rejected: associations that were.

    cpu_s: processor time of all senders together.
    """

    seconds: float
    latency_s: tuple[float, ...]
    rejected: int
    cpu_s: float


def send_at_once(studies: Mapping[str, Sequence[Path]], port: int, folder: Path) -> Sent:
    """Send the files of each calling AE title, all titles at the same time; whoever is rejected tries again.

    folder: for the senders' configuration. RuntimeError when an association fails in another way, or an answer is not
    success.
    """
    (folder / "dcmsend.cfg").write_text(_LOG)
    command = [require("dcmsend"), "-lc", str(folder / "dcmsend.cfg"), "-aec", "ANY", "127.0.0.1", str(port)]
    cpu_before, began = _cpu_s(), time.perf_counter()
    with ThreadPoolExecutor(len(studies)) as senders:
        done = list(senders.map(partial(_send, command), studies.keys(), studies.values()))
    seconds = time.perf_counter() - began
    latency_s = tuple(chain.from_iterable(latency for latency, _ in done))
    return Sent(seconds, latency_s, sum(rejected for _, rejected in done), _cpu_s() - cpu_before)


def _send(command: Sequence[str], calling_ae: str, files: Sequence[Path]) -> tuple[list[float], int]:
    """Seconds that each file's answer took, and how often the association was rejected before."""
    rejected = 0
    while True:
        words = [*command, "-aet", calling_ae, *map(str, files)]
        log = subprocess.run(words, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        if _REJECTED not in log:
            break
        rejected += 1
        time.sleep(_RETRY_S)
    asked, answered = _ASKED.findall(log), _ANSWERED.findall(log)
    if not len(asked) == len(answered) == len(files):
        raise RuntimeError(f"{calling_ae}: {len(answered)} of {len(files)} files were stored: {log}")
    return [float(after) - float(before) for before, after in zip(asked, answered, strict=True)], rejected


def _cpu_s() -> float:
    """Of all processes that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
