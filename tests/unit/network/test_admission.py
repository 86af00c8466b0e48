"""Who is let in under pressure; what is said of it, and how often it is looked up."""

import pytest

from service.domain.arrival import Identity
from service.domain.pressure import Marks
from service.domain.priority import Urgency
from service.network import admission
from service.network.admission import Admission

GB = 1e9


class Association:
    """Something to refer to."""


class House:
    """A receiver's surroundings, in the hands of a test."""

    sender, urgency = "CT1", Urgency.ROUTINE

    def __init__(self, max_waiting: int | None = 10, max_waiting_each: int | None = None) -> None:
        self.free_bytes, self.jobs, self.held, self.now_s = 10 * GB, 0, {"begun"}, 0.0
        self.of_sender: dict[str, int] = {}
        self.looks = self.images = 0
        self.fails = False
        self.shown: dict[str, int] = {}
        marks = Marks(2 * GB, 4 * GB, max_waiting, max_waiting_each)
        self._admission = Admission(
            marks, lambda: self.free_bytes, self._waiting, self.held.__contains__, self, lambda: self.now_s
        )
        self.association = Association()

    def turned_away(self, cause: str, what: int) -> None:
        self.shown[cause] = what

    def takes(self, study_uid: str, association: Association | None = None, image: str = "") -> bool:
        self.now_s += 2
        return self.takes_at_once(study_uid, association, image)

    def takes_at_once(self, study_uid: str, association: Association | None = None, image: str = "") -> bool:
        """image: another one each time, if not said."""
        self.images += 1
        uid = image or f"image {self.images}"
        identity = Identity("", uid, study_uid, "", "CT", "", None, self.urgency)
        return self._admission.admits(identity, self.sender, association or self.association)

    def _waiting(self) -> dict[str, int]:
        self.looks += 1
        if self.fails:
            raise OSError("the database fails")
        return {"others": self.jobs, **self.of_sender}


def test_a_full_disk_refuses_new_studies_then_everything_and_recovers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    house = House()
    assert house.takes("new")
    house.free_bytes = 1.9 * GB
    assert (house.takes("new"), house.takes("begun")) == (False, True)
    assert house.shown == {"disk": 1, "queue": 0, "sender": 0}
    house.free_bytes = 0.5 * GB
    assert (house.takes("new"), house.takes("begun")) == (False, False)
    assert house.shown["disk"] == 2
    house.free_bytes = 5 * GB
    other = Association()
    assert (house.takes("new", other), house.takes("begun", other)) == (True, True)
    assert house.shown["disk"] == 0
    assert [r.message for r in caplog.records] == [
        "new studies are refused: 1.9 GB are free",
        "every image is refused: 0.5 GB are free",
        "new studies are taken again: 5.0 GB are free",
    ], "once for each change, not for each image"


def test_a_long_queue_refuses_new_studies_only(caplog: pytest.LogCaptureFixture) -> None:
    house = House(max_waiting=10)
    house.jobs = 10
    assert (house.takes("new"), house.takes("begun")) == (False, True)
    assert house.shown == {"disk": 0, "queue": 1, "sender": 1}
    house.jobs = 8
    assert house.takes("new", Association())
    assert "10 jobs wait for analysis" in caplog.text


def test_a_study_that_was_refused_is_not_taken_from_its_middle_on() -> None:
    house = House()
    house.jobs = 10
    assert not house.takes("new")
    house.jobs = 0
    assert not house.takes("new"), "its first images would be missing"
    assert house.takes("another")
    assert house.takes("new", Association()), "its sender begins again"
    house.held.add("new")
    assert house.takes("new"), "by now it has begun elsewhere"


def test_a_sender_that_keeps_its_association_begins_again_with_what_was_refused_first() -> None:
    """A router tries again for days on one association."""
    house = House()
    house.jobs = 10
    assert not any(house.takes("new", image=image) for image in ("1", "2", "1"))
    house.jobs = 0
    assert not any(house.takes("new", image=image) for image in ("3", "2", "4")), "the first would be missing"
    assert all(house.takes("new", image=image) for image in ("1", "2", "3", "4"))


def test_it_is_looked_up_once_a_second() -> None:
    house = House()
    for _ in range(1000):
        assert house.takes_at_once("new")
    assert house.looks == 1
    house.takes("new")
    assert house.looks == 2


def test_without_a_limit_nobody_counts_jobs() -> None:
    house = House(max_waiting=None)
    house.jobs = 10**6
    assert house.takes("new")
    assert house.looks == 0


def test_what_cannot_be_looked_up_stays_as_it_was() -> None:
    house = House()
    house.jobs = 10
    assert not house.takes("new")
    house.fails, house.jobs = True, 0
    assert not house.takes("new", Association())
    house.fails = False
    assert house.takes("new", Association())


def test_a_sender_that_has_its_share_is_refused_alone(caplog: pytest.LogCaptureFixture) -> None:
    house = House(max_waiting=10)
    house.of_sender = {"FLOOD": 8}
    house.sender = "FLOOD"
    assert (house.takes("new"), house.takes("begun")) == (False, True)
    house.sender = "CT1"
    assert house.takes("another")
    assert [r.message for r in caplog.records] == ["new studies of some senders are refused: 8 jobs of FLOOD wait"]
    assert house.shown == {"disk": 0, "queue": 0, "sender": 1}
    house.sender = "FLOOD"
    assert not house.takes("newer")
    house.of_sender = {"FLOOD": 7}
    assert house.takes("newest")


def test_a_share_that_is_full_stays_so_until_a_tenth_of_it_is_done() -> None:
    house = House(max_waiting=100)
    house.sender, house.of_sender = "FLOOD", {"FLOOD": 80}
    assert not house.takes("new")
    house.of_sender = {"FLOOD": 72}
    assert not house.takes("newer")
    house.of_sender = {"FLOOD": 71}
    assert house.takes("newest")


def test_stat_has_room_where_others_fill_the_queue() -> None:
    house = House(max_waiting=10, max_waiting_each=8)
    house.of_sender = {"FLOOD": 8, "CT2": 2}
    assert not house.takes("new")
    house.urgency = Urgency.STAT
    assert house.takes("emergency")
    house.sender = "FLOOD"
    assert not house.takes("all of mine are STAT")
    house.of_sender = {"FLOOD": 8}
    assert house.takes("mine, while there is room")
    house.free_bytes = 1.9 * GB
    house.sender = "CT1"
    assert not house.takes("no room on the disk either")


def test_a_sender_of_very_many_refused_studies_still_completes_what_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "_MOST_REFUSED", 3)
    house = House()
    house.jobs = 10
    assert not any(house.takes(f"new {number}") for number in range(5))
    assert house.takes("begun")
    house.jobs = 0
    assert not house.takes("new 9"), "who knows whether its first images were refused"
    assert house.takes("new 9", Association())
