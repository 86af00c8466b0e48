"""Files in which the processes of a service count, and how they are read: prometheus_client's multiprocess mode.

The receiver, the worker and the API are separate processes: counters go to files in one folder. The API adds them up,
or each process answers for its own, never both.
"""

import json
import logging
import os
import struct
from collections.abc import Container, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

log = logging.getLogger(__name__)

COUNTING = "counting"
"""The group of names that live processes hold (`FileLocks.claim`)."""

_ADDING_UP = ("counter", "histogram")
_OF_THE_LIVING = ("gauge_livemin", "gauge_livemax")
_RESERVED_BYTES = 2 * 1024 * 1024
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def count_in(folder: Path, name: str) -> None:
    """Let `Metrics` made after this count in files of the folder; whichever process comes first makes it.

    name: of the files, without "_". A process goes on from where a dead one of that name stopped, so that no counter
    goes back and no file is left over; gauges begin anew. Two live processes must not have the same
    (`FileLocks.claim`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    for kind in _ADDING_UP:
        if not _readable(path := folder / f"{kind}_{name}.db"):
            _reserve(path)
    for kind in _OF_THE_LIVING:
        _reserve(folder / f"{kind}_{name}.db")
    os.environ[_FOLDER] = str(folder)
    # The library looks at the variable when it is imported, and that is before the settings are known.
    values.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]


def _readable(path: Path) -> bool:
    """A power cut may take pages of a file; one such file would keep the counts of all processes from being read."""
    try:
        for key, *_ in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]
            json.loads(key)
    except FileNotFoundError:
        return False
    except (ValueError, RuntimeError, struct.error) as error:
        log.warning("%s cannot be read, its counts begin anew: %s", path.name, error)
        return False
    return True


def _reserve(path: Path) -> None:
    """The library maps a file with holes into memory: on a full disk, the first count in a hole kills the process."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, _RESERVED_BYTES)
    part.rename(path)


class Counted(Collector):
    """What has been counted in files of a folder, by the process of one name or by all.

    living: names of the processes whose gauges count; counters of the dead count, too.
    """

    def __init__(self, folder: Path, living: Container[str], name: str | None = None) -> None:
        self._folder = folder
        self._living = living
        self._whose = "*" if name is None else name

    def collect(self) -> Iterator[Metric]:
        files = [path for kind in _ADDING_UP for path in self._files(kind)]
        files += [path for kind in _OF_THE_LIVING for path in self._files(kind) if _name(path) in self._living]
        yield from MultiProcessCollector.merge(list(map(str, files)))  # type: ignore[no-untyped-call]

    def _files(self, kind: str) -> Iterator[Path]:
        return self._folder.glob(f"{kind}_{self._whose}.db")


def _name(path: Path) -> str:
    return path.stem.rpartition("_")[2]


def counted_here() -> Iterator[Sample]:
    """Yields what has been counted where this process counts; gauges excepted."""
    if (folder := os.environ.get(_FOLDER)) is not None:
        yield from samples(Path(folder), ())


def samples(folder: Path, living: Container[str]) -> Iterator[Sample]:
    """Yields all that has been counted in a folder. living: names of the processes whose gauges count."""
    for family in Counted(folder, living).collect():
        yield from family.samples


def exposition(*collectors: Collector) -> bytes:
    """Returns the text that `/metrics` answers."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry)
