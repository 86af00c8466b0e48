"""The watch of the back end: what it says, to whom, and when."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.errors import Permanent, Transient
from service.store.file_locks import FileLocks
from service.worker.backend_watch import GROUP, BackendWatch


class Site:
    """A back end that fails with the first of `wrong`, and all whom the watch tells."""

    def __init__(self, folder: Path, every_s: float = 3600.0) -> None:
        self.wrong: list[Exception] = []
        self.counted: list[bool] = []
        self.used = 0
        self.looked, self.go_on = threading.Semaphore(0), threading.Event()
        self.go_on.set()
        self.locks = FileLocks(folder)
        self.watch = BackendWatch(self, self.locks, self, self.can_be_used, every_s)

    def check(self) -> None:
        self.looked.release()
        assert self.go_on.wait(60)
        if self.wrong:
            raise self.wrong[0]

    def canary(self, ok: bool) -> None:
        self.counted.append(ok)

    def can_be_used(self) -> None:
        self.used += 1

    def look(self, *wrong: Exception) -> tuple[str, int, int]:
        """What it says then, who is ready, and how often it was said that it can be used."""
        self.wrong = list(wrong)
        self.watch._look()
        return self.watch.why_not, self.locks.members(GROUP), self.used


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    for name in site.locks.claimed(GROUP):
        site.locks.leave(GROUP, name)


def test_before_the_first_look_nobody_is_ready(site: Site) -> None:
    assert site.watch.why_not == "not asked yet"
    assert site.locks.members(GROUP) == 0


def test_it_is_ready_only_while_the_back_end_answers_rightly(site: Site) -> None:
    away, altered = Transient("Triton is away"), Permanent("the model was altered")
    assert [site.look(*wrong) for wrong in ([away], [], [], [altered], [away], [], [])] == [
        ("Triton is away", 0, 0),
        ("", 1, 1),
        ("", 1, 1),
        ("the model was altered", 0, 1),
        ("Triton is away", 0, 1),
        ("", 1, 2),
        ("", 1, 2),
    ]
    assert site.counted == [False, True, True, False, False, True, True]


def test_what_is_wrong_is_said_once_and_that_it_is_over(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    for wrong in ([Transient("away")], [Transient("away")], [], []):
        site.look(*wrong)
    assert [(one.levelno, one.getMessage()) for one in caplog.records] == [
        (logging.ERROR, "the back end cannot be used: away"),
        (logging.WARNING, "the back end can be used again"),
    ]


def test_what_nobody_thought_of_ends_the_watch_and_with_it_the_worker(site: Site) -> None:
    with pytest.raises(KeyError):
        site.look(KeyError("bug"))


def test_a_server_that_loads_for_long_keeps_no_worker_from_starting(tmp_path: Path) -> None:
    site = Site(tmp_path, every_s=0.01)
    site.go_on.clear()
    site.watch.start()
    assert site.looked.acquire(timeout=60)
    assert (site.watch.why_not, site.watch.alive) == ("not asked yet", True)
    site.go_on.set()
    for _ in range(3):
        assert site.looked.acquire(timeout=60)
    site.watch.stop()
    assert (site.watch.why_not, site.used) == ("", 1)
