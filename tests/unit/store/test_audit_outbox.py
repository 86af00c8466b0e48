"""Events wait for their collector: none is lost, whoever is killed, and each is told as it was."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers import arrivals
from helpers.databases import open_database
from helpers.dicom_peers import wait_until

from service.domain import audit_event as events
from service.domain.audit_event import AuditEvent, Outcome, Participant
from service.domain.job import StoredObject
from service.domain.login import ACCOUNT_SUBJECT, API, LOG_IN, LOG_OUT, TOKEN_SUBJECT
from service.errors import Transient
from service.network.audit_message import syslog_message
from service.network.send import StoreOutcome
from service.network.status import Verdict
from service.store.audit import DENIED, DONE, Audit
from service.store.audit_outbox import AuditOutbox
from service.store.file_locks import FileLocks
from service.store.inbox import Inbox
from service.store.records import Records
from service.store.spool import Spool
from service.worker.audit_sender import HOLDERS, AuditSender
from service.worker.receiver_reports import ReceiverReports
from service.worker.study_reports import StudyReports

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
US = Participant("thoracle receiver@here", ae_title="THORACLE", address="here")


class House:
    """An outbox with all that puts into it, and a collector that may be away."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_database(folder / "records.db")
        self.outbox = AuditOutbox(self.engine)
        self.inbox = Inbox(Spool(folder), Records(self.engine))
        self.locks = FileLocks(folder / "locks")
        self.has: list[AuditEvent] = []
        self.away = ""
        self.sender = AuditSender(self.outbox, FileLocks(folder / "locks"), self.take, US)

    def reports(self) -> ReceiverReports:
        later = lambda: NOW + timedelta(minutes=1)  # noqa: E731
        return ReceiverReports(self.outbox, self.locks.join(HOLDERS), US, later, again_s=0.05)

    def take(self, some: list[AuditEvent]) -> None:
        if self.away:
            raise Transient(self.away)
        self.has += some

    def waiting(self) -> list[AuditEvent]:
        return [event for _, event in self.outbox.due(100)]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.mark.conformance("audit-events/*")
def test_every_event_of_the_statement_is_made_and_no_other() -> None:
    whom, uid = Participant("ada"), "1.2"
    made = (
        events.application_started(US, NOW),
        events.application_stopped(US, NOW),
        events.transferring(US, whom, (), NOW),
        events.received(whom, US, (), NOW),
        events.sent(US, whom, (), NOW, Outcome.SUCCESS, ""),
        events.accessed(US, (), NOW),
        events.study_deleted(US, uid, "P1", NOW),
        events.asked(US, whom, "", NOW, uid),
        events.refused_node(US, whom, NOW, ""),
        events.configured(US, "ada", "promote", "lobes", NOW, Outcome.SUCCESS),
        events.job_changed(US, "ada", "cancel", uid, NOW, Outcome.SUCCESS),
        events.audit_trail_used(US, "ada", NOW),
        events.exported(US, "ada", "/backups", (), NOW),
        events.imported(US, "ada", "/backups", (), NOW),
        events.user_changed(US, "ada", "add user", "user kim", NOW, Outcome.SUCCESS),
        events.authenticated(US, whom, NOW, events.LOGIN, Outcome.SUCCESS, ""),
    )
    assert {one.event for one in made} == {code for code, _ in events.EVENTS}


def test_logins_and_changes_of_accounts_are_told_as_such(house: House) -> None:
    trail = Audit(house.engine, lambda: NOW)
    house.sender.tick()  # what is in the trail before is not told
    trail.note("ada (OpenID)", LOG_IN, API, DONE, address="10.0.0.1", roles="viewer")
    trail.note("unknown name (local account)", LOG_IN, API, DENIED, address="10.0.0.2", why="wrong name or password")
    trail.note("ada (OpenID)", LOG_OUT, API, DONE, address="10.0.0.1")
    trail.note("root@host", "add user", f"{ACCOUNT_SUBJECT}kim", DONE)
    trail.note("root@host", "revoke token", f"{TOKEN_SUBJECT}ris", DENIED, why="there is none")
    house.sender.tick()
    login, refused, logout, made, kept = house.has
    assert [one.event for one in (login, refused, logout)] == [events.USER_AUTHENTICATION] * 3
    assert [one.type for one in (login, refused, logout)] == [events.LOGIN, events.LOGIN, events.LOGOUT]
    assert [one.outcome for one in (login, refused, logout)] == [0, 4, 0]
    who = login.participants[0]
    assert (who.user_id, who.requestor, who.address) == ("ada (OpenID)", True, "10.0.0.1")
    assert refused.why == "wrong name or password"
    assert [(one.event, one.type) for one in (made, kept)] == [(events.SECURITY_ALERT, events.USER_CHANGED)] * 2
    assert [(one.outcome, one.why) for one in (made, kept)] == [(0, "add user user kim"), (4, "revoke token token ris")]


def test_what_came_by_an_association_is_one_event_of_each_study(house: House) -> None:
    reports = house.reports()
    for instance in ("1", "2", "3"):
        reports.kept(7, arrivals.arrival(instance=instance))
    assert house.waiting() == [], "it goes on"
    reports.ended(7, released=True)
    reports.stop()
    (event,) = house.waiting()
    study, patient = event.subjects
    assert event.event == events.TRANSFERRED and event.outcome is Outcome.SUCCESS
    assert list((study.classes or {}).values()) == [3]
    assert patient.id == events.UNKNOWN, "these bytes name nobody"
    assert [(one.role.value, one.requestor) for one in event.participants if one.role] == [
        ("110153", True),
        ("110152", False),
    ]


def test_an_association_that_was_aborted_says_so(house: House) -> None:
    reports = house.reports()
    reports.kept(7, arrivals.arrival())
    reports.ended(7, released=False)
    reports.stop()
    (event,) = house.waiting()
    assert event.outcome is Outcome.MINOR_FAILURE and "aborted" in event.why


def test_what_a_killed_receiver_left_open_is_told_with_what_came(house: House) -> None:
    reports = house.reports()
    for instance in ("1", "2"):
        came = arrivals.arrival(instance=instance)
        house.inbox.take(came)
        reports.kept(7, came)
    house.sender.tick()
    assert house.has == [], "its process lives"
    house.locks.leave(HOLDERS, house.outbox.holders()[0])  # as the kernel does when it dies
    house.sender.tick()
    (event,) = house.has
    assert event.outcome is Outcome.SERIOUS_FAILURE and "killed" in event.why
    assert list((event.subjects[0].classes or {}).values()) == [2]


def test_who_is_not_let_in_is_told_of_once_a_minute(house: House) -> None:
    reports = house.reports()
    for _ in range(1000):
        reports.turned_away("10.1.2.3", "EVIL", "nobody knows it")
    reports.turned_away("10.1.2.3", "", "no TLS: it shows no certificate")
    wait_until(lambda: len(house.waiting()) == 2)
    first, second = house.waiting()
    assert first.type == events.NODE_AUTHENTICATION and first.subjects[0].id == "10.1.2.3"
    assert "certificate" in second.why
    for number in range(1000):
        reports.turned_away(f"10.1.3.{number % 250}", f"EVIL{number}", "nobody knows it")
    reports.stop()
    assert len(house.waiting()) == 100, "who tries under a thousand names fills no disk"


def renamed(house: House, old: str, new: str) -> None:
    with house.engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")


@pytest.mark.parametrize("away_at", ["the beginning", "the end"])
def test_a_database_that_is_away_keeps_no_image_and_no_caller_waiting_and_loses_nothing(
    house: House, away_at: str
) -> None:
    reports = house.reports()
    if away_at == "the end":
        reports.kept(7, arrivals.arrival())
    renamed(house, "audit_messages", "gone")
    if away_at == "the beginning":
        reports.kept(7, arrivals.arrival())
    began = time.monotonic()
    reports.turned_away("10.1.2.3", "EVIL", "nobody knows it")
    reports.ended(7, released=True)
    assert time.monotonic() - began < 0.5
    renamed(house, "gone", "audit_messages")
    wait_until(lambda: len(house.waiting()) == 2)
    assert {one.event for one in house.waiting()} == {events.TRANSFERRED, events.SECURITY_ALERT}


def test_a_receiver_that_lives_after_all_is_told_rightly(house: House) -> None:
    """Its lock may be lost with the connection to the database."""
    reports = house.reports()
    reports.kept(7, arrivals.arrival())
    house.locks.leave(HOLDERS, house.outbox.holders()[0])
    house.sender.tick()
    reports.ended(7, released=True)
    reports.stop()
    house.sender.tick()
    assert [one.outcome for one in house.has] == [Outcome.SERIOUS_FAILURE, Outcome.SUCCESS]


def test_what_nothing_of_ours_has_written_is_set_aside(house: House) -> None:
    with house.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO audit_messages (at, event) VALUES ('2026-11-30 12:00:00', 'strange')")
    event = events.application_started(US, NOW)
    house.outbox.put(event)
    house.sender.tick()
    house.sender.tick()
    assert house.has == [event]


def test_without_a_collector_nothing_that_names_a_patient_stays(house: House) -> None:
    house.reports().kept(7, arrivals.arrival())
    house.outbox.put(events.application_started(US, NOW))
    house.outbox.clear()
    assert house.waiting() == [] and house.outbox.holders() == []


def test_what_a_sender_chooses_is_bounded() -> None:
    long = events.patient("\ud800" + 100_000 * "x")
    assert len(long.id) == 64 and long.id.startswith("?x")
    many = events.study("1.2", {f"1.2.{number}": 1 for number in range(1000)})
    why = events.sent(US, US, (many, long), NOW, Outcome.MINOR_FAILURE, 100_000 * "y")
    assert len(syslog_message(why, "here")) < 16_000


def test_changes_of_the_audit_trail_are_told_once_from_the_first_look_on(house: House) -> None:
    trail = Audit(house.engine, lambda: NOW)
    trail.note("ada", "promote", "lobes", DONE)
    house.sender.tick()
    assert house.has == [], "history was not told"
    with trail.entry("ada", "promote", "lobes"):
        pass
    house.sender.tick()
    house.sender.tick()
    (event,) = house.has
    assert event.event == events.SECURITY_ALERT and event.participants[1].user_id == "ada"


def test_what_the_collector_does_not_take_waits_in_its_order(house: House) -> None:
    first, second = (events.application_started(replace(US, user_id=name), NOW) for name in ("a", "b"))
    house.away = "it is away"
    house.outbox.put(first)
    with pytest.raises(Transient):
        house.sender.tick()
    assert house.outbox.waiting_since() == NOW
    house.outbox.put(second)
    house.away = ""
    house.sender.tick()
    assert house.has == [first, second] and house.outbox.waiting_since() is None


def test_results_that_were_sent_and_those_that_were_not_are_two_events(house: House, tmp_path: Path) -> None:
    reports = StudyReports(house.outbox, US, lambda: NOW)
    to = Participant("PACS", ae_title="PACS", address="10.1.1.1")
    objects = [StoredObject("lobes", uid, uid, uid, "", None, None, ()) for uid in ("1.1", "1.2")]
    outcomes = [
        StoreOutcome(tmp_path, "1.1", Verdict.STORED, 0, ""),
        StoreOutcome(tmp_path, "1.2", Verdict.TRANSIENT, None, "it is away"),
    ]
    reports.sending("1.9", objects, to, [])
    reports.sent("1.9", objects, to, [], outcomes)
    begun, stored, refused = house.waiting()
    assert begun.event == events.BEGIN_TRANSFERRING and begun.subjects[0].classes == {"1.1": 1, "1.2": 1}
    assert (stored.outcome, stored.subjects[0].classes) == (Outcome.SUCCESS, {"1.1": 1})
    assert (refused.outcome, refused.why, refused.subjects[0].classes) == (
        Outcome.MINOR_FAILURE,
        "it is away",
        {"1.2": 1},
    )
