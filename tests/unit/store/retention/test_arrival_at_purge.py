"""What arrives while its study is purged: it is kept, or sent once more, and its sender is told the truth."""

from pathlib import Path
from threading import Thread

import pytest
import sqlalchemy as sa
from helpers.databases import open_database
from helpers.ward import KEEP, LATER, NOW, Ward

from service.store.engine import sqlite_engine
from service.store.inbox import Inbox
from service.store.intake import Recorded
from service.store.spool import Spool as DiskSpool


def test_a_slice_that_comes_before_the_purge_keeps_the_study(ward: Ward) -> None:
    ward.delivered("1")
    assert ward.due() == ["S"]
    ward.receive("2")
    assert ward.retention.give_up("S", LATER - KEEP, LATER) is None
    assert len(ward.files()) == 2


@pytest.mark.parametrize("when", ["given up", "removed"])
def test_the_same_bytes_that_come_again_are_kept(ward: Ward, when: str) -> None:
    """Saved before the purge, which removes them; recorded after it."""
    ward.delivered("1", "2")
    one = ward.slice("1")
    path = ward.save(one)
    ward.give_up()
    if when == "removed":
        ward.remove()
    if not ward.spool.is_there(path):  # it was removed, or its key is forgotten
        assert ward.record(path, one) is Recorded.GONE
        assert when == "given up" or ward.records.paths() == set(), "nothing is recorded that is not there"
        path = ward.save(one)
    assert ward.record(path, one) is Recorded.NEW
    ward.remove()
    assert ward.files() == ward.records.paths() == {path}


def test_a_file_whose_study_is_forgotten_before_it_is_recorded_is_saved_again(ward: Ward) -> None:
    ward.delivered("1")
    one = ward.slice("1")
    path = ward.save(one)
    ward.purge()
    assert ward.retention.forget("S", LATER + KEEP)
    for _ in range(2):
        assert ward.record(path, one) is Recorded.GONE
    assert ward.record(ward.save(one), one) is Recorded.NEW
    assert ward.files() == ward.records.paths() == {path}


def test_a_file_is_taken_off_the_list_for_good_before_its_sender_is_told(tmp_path: Path) -> None:
    """A receiver's other commits may be lost in a power cut: the spool gives them back, but not this one."""
    open_database(tmp_path / "records.db")
    receiver = sqlite_engine(tmp_path / "records.db", "NORMAL")
    ward, full, levels = Ward(receiver, DiskSpool(tmp_path)), 2, list[int]()
    ward.delivered("1")
    ward.give_up()
    sa.event.listen(receiver, "commit", lambda c: levels.append(c.exec_driver_sql("PRAGMA synchronous").scalar()))
    ward.receive("1")
    assert levels[-1] == full
    ward.receive("2")
    assert levels[-1] < full


def test_the_removal_of_a_file_and_its_arrival_wait_for_each_other(ward: Ward) -> None:
    """A file that is on the list is recorded again while it is removed: whoever is second sees what the first did."""
    ward.delivered("1", "2")
    ward.give_up()
    one, outcome = ward.slice("1"), []

    class Slow:
        def remove(self, *paths: str) -> None:
            outcome.append("removing")
            arriving.start()
            arriving.join(0.5)
            outcome.append("removed")
            ward.spool.remove(*paths)

        def remove_results(self, job_id: str) -> None:
            ward.spool.remove_results(job_id)

    path = ward.save(one)
    arriving = Thread(target=lambda: outcome.append(ward.record(path, one)))
    ward.retention.remove("S", Slow())  # type: ignore[arg-type]
    arriving.join()
    assert outcome == ["removing", "removed", Recorded.GONE]


def test_a_starting_receiver_leaves_what_is_to_be_removed_alone(ward: Ward) -> None:
    ward.delivered("1")
    ward.give_up()
    assert Inbox(ward.spool, ward.records).reconcile(NOW) == 0
    assert ward.retention.to_remove() == ["S"]
