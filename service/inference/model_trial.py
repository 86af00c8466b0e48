"""Lets one version at a time be checked before it is served; Triton loads it for as long as the check lasts."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from service.errors import Permanent
from service.inference.repository_config import configure, configure_all
from service.inference.repository_files import changing, in_words

_CHECKING = ".checking"


@contextmanager
def checking(repository: Path, name: str, version: str, by: str) -> Iterator[None]:
    """Meanwhile no other version is checked, by no process on any host that shares the repository.

    by: who wants it. Permanent, in words, if another one is being checked. What a check that was killed has left listed
    for Triton is not any more.
    """
    with ExitStack() as held:
        with in_words(repository):
            lock = held.enter_context((repository / _CHECKING).open("a+", encoding="utf-8"))
            lock.seek(0)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise Permanent(f"{lock.read() or 'Another version'} is being checked; try again in a minute.") from exc
            if lock.read():
                configure_all(repository)
            lock.truncate(0)
            lock.write(f"{name} version {version}, for {by},")
            lock.flush()
            held.callback(lock.truncate, 0)
        yield


@contextmanager
def listed_for_trial(repository: Path, name: str, version: str) -> Iterator[None]:
    """Meanwhile Triton may load this version, too; afterwards it may load what is served then.

    A kill in between leaves it listed until the next change of this model, or the next check of any.
    """
    with changing(repository):
        configure(repository, name, tried=version)
    try:
        yield
    finally:
        with changing(repository):
            configure(repository, name)
