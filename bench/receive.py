"""Images per second from DCMTK, by one association and by four at once.

Beside a receiver that discards, beside Orthanc, and by TLS beside plain.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from time import perf_counter

import psutil
from helpers import make_ct

from bench.cases import SLICES, phantom
from bench.figures import Figure, Target, columns
from bench.servers import discard, free_port, orthanc, thoracle, thoracle_by_tls, two_of_thoracle

Server = Callable[[Path, int], AbstractContextManager[psutil.Process]]
Sender = Callable[[Path], list[str]]
"""The command that sends, without address and files. Its argument: the folder of the server, with the certificates."""

PART = "receive"
# Not from PATH: pynetdicom installs scripts with the names of DCMTK's.
DCMSEND, STORESCU = Path("/usr/bin/dcmsend"), Path("/usr/bin/storescu")

_ASSOCIATIONS = (1, 4)
_TARGET = Target(100, at_least=True)
_WARM_UP = 20
# DCMTK waits about 45 ms on every C-STORE without it.
_ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}


def measure(work: Path, repeat: int) -> Iterator[Figure]:
    """RuntimeError without dcmsend, or when an image got lost."""
    if not DCMSEND.exists():
        raise RuntimeError("dcmsend is not installed: apt-get install dcmtk")
    files = make_ct.write(phantom().datasets, work / "slices")
    warm_up = make_ct.write(make_ct.make(slices=_WARM_UP).datasets, work / "warm-up")
    for associations in _ASSOCIATIONS:
        runs = columns([_both(work, warm_up, files, associations) for _ in range(repeat)])
        plural = "association" if associations == 1 else "associations"
        target = _TARGET if associations == 1 else None
        note = f"{SLICES} slices of 0.5 MB by dcmsend, durable before each answer"
        yield _figure(f"{associations} {plural}", "images/s", runs["ours"], target, note)
        yield _figure(f"{associations} {plural}, discarding yardstick", "images/s", runs["yardstick"])
        yield _figure(f"{associations} {plural}, ours / yardstick", "", runs["ratio"])
        cpu = runs["cpu_ms"]
        yield Figure(PART, f"{associations} {plural}, our CPU time per image", "ms", cpu)
    by_tls = (thoracle_by_tls, _storescu_by_tls), (thoracle, _storescu)
    four = "4 associations, 2 processes"
    pairs = (
        ("1 association, ours / Orthanc", 1, ((thoracle, _dcmsend), (orthanc, _dcmsend)), Target(1, at_least=True)),
        (f"{four}, ours / Orthanc", 4, ((two_of_thoracle, _dcmsend), (orthanc, _dcmsend)), Target(1, at_least=True)),
        (f"{four} / 1 process", 4, ((two_of_thoracle, _dcmsend), (thoracle, _dcmsend)), None),
        ("1 association, by TLS / plain", 1, by_tls, Target(0.75, at_least=True)),
    )
    for name, associations, both, target in pairs:
        rates = [[_rate(work, warm_up, files, associations, *one) for one in both] for _ in range(repeat)]
        yield _figure(name, "", tuple(ours / theirs for ours, theirs in rates), target)
    shutil.rmtree(work / "slices")


def _figure(name: str, unit: str, runs: tuple[float, ...], target: Target | None = None, note: str = "") -> Figure:
    return Figure(PART, name, unit, runs, target, more_is_better=True, note=note)


def _both(work: Path, warm_up: Sequence[Path], files: Sequence[Path], associations: int) -> dict[str, float]:
    """Ours and the yardstick right after each other, because machines are noisy."""
    folder = work / "receiver"
    ours, cpu_s = _images_per_s(thoracle, folder, warm_up, files, associations)
    kept = sum(1 for _ in (folder / "data" / "spool").rglob("*.dcm"))
    if kept != len(files) + len(warm_up):
        raise RuntimeError(f"{kept} images were kept of {len(files) + len(warm_up)}")
    shutil.rmtree(folder)
    yardstick, _ = _images_per_s(discard, folder, warm_up, files, associations)
    return {"ours": ours, "yardstick": yardstick, "ratio": ours / yardstick, "cpu_ms": 1000 * cpu_s / len(files)}


def _rate(
    work: Path, warm_up: Sequence[Path], files: Sequence[Path], associations: int, server: Server, sender: Sender
) -> float:
    """Measures images per second, to a server that starts with an empty folder."""
    folder = work / "receiver"
    per_s, _ = _images_per_s(server, folder, warm_up, files, associations, sender)
    shutil.rmtree(folder)
    return per_s


def _dcmsend(_folder: Path) -> list[str]:
    return [str(DCMSEND)]


def _storescu(_folder: Path) -> list[str]:
    return [str(STORESCU)]


def _storescu_by_tls(folder: Path) -> list[str]:
    """dcmsend has no TLS."""
    key, certificate, authority = (str(folder / name) for name in ("sender.key", "sender.pem", "authority.pem"))
    return [str(STORESCU), "+tls", key, certificate, "+cf", authority]


def _images_per_s(
    server: Server,
    folder: Path,
    warm_up: Sequence[Path],
    files: Sequence[Path],
    associations: int,
    sender: Sender = _dcmsend,
) -> tuple[float, float]:
    """Images per second with the sender's own start included, and the receiver's CPU seconds for all images."""
    port = free_port()
    with server(folder, port) as process:
        command = [*sender(folder), "-aec", "ANY", "127.0.0.1", str(port)]
        _send(command, [warm_up])
        cpu_before = _cpu_s(process)
        began = perf_counter()
        _send(command, [files[k::associations] for k in range(associations)])
        seconds = perf_counter() - began
        return len(files) / seconds, _cpu_s(process) - cpu_before


def _send(command: Sequence[str], shares: Sequence[Sequence[Path]]) -> None:
    """One process, and so one association, per share; all at once."""
    senders = [
        subprocess.Popen([*command, *map(str, share)], env=_ENVIRONMENT, stdout=subprocess.DEVNULL) for share in shares
    ]
    exits = [sender.wait() for sender in senders]
    if any(exits):
        raise RuntimeError(f"{Path(command[0]).name} failed")


def _cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)
