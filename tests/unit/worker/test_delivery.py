"""Routing and confirmation on real tables and files; only the network is a stand-in (real peers: tests/peers)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from helpers import arrivals
from helpers.conformance import tried
from helpers.databases import open_database
from helpers.reports import PEER, observed_by

from service.conformance.rows import Row
from service.conformance.sender import failure_reasons
from service.domain.commitment import Reference, Report
from service.domain.delivery import Confirm
from service.domain.job import Result, StoredObject
from service.domain.job_state import State
from service.domain.retry import RetryPolicy
from service.domain.routing import Rule, StudyFacts
from service.domain.work import TryAgain
from service.network.commitment import Asked
from service.network.send import StoreOutcome, Verdict
from service.store.deliveries import Deliveries
from service.store.inbox import Inbox
from service.store.jobs import Jobs
from service.store.overview import Overview
from service.store.records import Records
from service.store.spool import Spool
from service.worker.confirmation import keep_report
from service.worker.delivery import Courier
from service.worker.delivery_plans import DeliveryPlans
from service.worker.destination import Target, with_one_root

NOW = arrivals.at(300)
SEG, LABELMAP, SR, PDF = "1.9.1", "1.9.2", "1.9.3", "1.9.4"
KINDS = {SEG: "lobes", LABELMAP: "lobes", SR: "study", PDF: "report-dicom"}
ALL = frozenset(KINDS.values())
FACTS = StudyFacts("CT1", "THORACLE", "", ("", ""), "CHEST", NOW)
ACCEPTED = Asked(True, "accepted")


class Bench:
    """An analysed job and a PACS.

    referring: the SR refers to the Segmentations and to the PDF. more: objects besides the usual ones.
    """

    def __init__(self, folder: Path, referring: bool = False, more: Sequence[StoredObject] = ()) -> None:
        engine = open_database(folder / "records.db")
        self.clock = NOW
        self.attempt = 0
        self.sent: list[str] = []
        self.asked: list[tuple[str, list[str]]] = []
        self.answers: list[Asked] = []
        self.there: frozenset[str] | None = frozenset()
        self.latencies: list[float] = []
        self.counted: Counter[str] = Counter()
        self.jobs, self.deliveries, self.overview = Jobs(engine), Deliveries(engine), Overview(engine)
        records, spool = Records(engine), Spool(folder)
        Inbox(spool, records).take(arrivals.arrival(acquired_at=arrivals.at(0)))
        (self.job_id,) = arrivals.create_due_jobs(records, NOW, lambda _: 1.0)
        self.pacs = Target(
            PEER,
            self.send,
            RetryPolicy((5.0, 60.0), timedelta(hours=1)),
            ALL,
            "binary",
            Confirm.COMMITMENT,
            self.ask,
            self.find,
            answer_within_s=100.0,
        )
        self.destinations = {"pacs": self.pacs}
        self.plans = DeliveryPlans(self.destinations, self.jobs, self.deliveries, lambda: self.clock)
        self.courier = Courier(
            self.destinations, spool, self.jobs, self.deliveries, observed_by(self), lambda: self.clock
        )
        paths = spool.save_results(
            self.job_id, {uid: uid.encode() for uid in (*KINDS, *(o.sop_instance_uid for o in more))}
        )
        styles = {SEG: "binary", LABELMAP: "labelmap"}
        refers = {SR: (SEG, LABELMAP, PDF)} if referring else {}
        objects = [
            StoredObject(kind, "1.2.3", uid, paths[uid], "", styles.get(uid), refers_to=refers.get(uid, ()))
            for uid, kind in KINDS.items()
        ]
        objects += [replace(o, path=paths[o.sop_instance_uid]) for o in more]
        self.jobs.start(self.job_id, NOW)
        self.jobs.finish(self.job_id, Result(series_uid="S", objects=objects, facts=FACTS), NOW)

    def plan(self) -> Sequence[str]:
        return self.plans.begin(self.jobs.get(self.job_id))

    def deliver(self, seconds: float = 0.0) -> float | None:
        self.clock += timedelta(seconds=seconds)
        self.attempt += 1
        result = self.courier.deliver(self.job_id, "pacs", self.attempt)
        return result.after_s if isinstance(result, TryAgain) else None

    def send(self, paths: Sequence[Path]) -> list[StoreOutcome]:
        self.sent += [p.name for p in paths]
        return [StoreOutcome(p, "", Verdict.STORED, 0, "") for p in paths]

    def ask(self, transaction_uid: str, references: Sequence[Reference]) -> Asked:
        self.asked.append((transaction_uid, [r.sop_instance_uid for r in references]))
        return self.answers.pop(0)

    def find(self, study_uid: str, uids: Sequence[str]) -> frozenset[str] | None:
        assert study_uid == "S"
        return None if self.there is None else self.there & frozenset(uids)

    def report(self, number: int, committed: Sequence[str], failed: dict[str, int] | None = None) -> bool:
        report = Report(self.asked[number][0], frozenset(committed), failed or {})
        return keep_report(report, self.deliveries, self, self.clock)

    def delivery(self, destination: str, outcome: str) -> None:
        assert destination == "pacs"
        self.counted[outcome] += 1

    def delivered(self, latency_s: float) -> None:
        self.latencies.append(latency_s)

    @property
    def state(self) -> State:
        return self.jobs.get(self.job_id).state

    def answering(self, uid: str, verdict: Verdict, status: int | None = None, **more: Any) -> Target:
        """The PACS with another answer to one object."""
        return self.answering_in_turn(uid, [(verdict, status)], **more)

    def answering_in_turn(self, uid: str, answers: Sequence[tuple[Verdict, int | None]], **more: Any) -> Target:
        """The PACS with other answers to one object: the first to its first attempt, the last to all later ones."""
        left = list(answers)

        def send(paths: Sequence[Path]) -> list[StoreOutcome]:
            self.sent += [p.name for p in paths]
            return [answer() if p.name == uid else StoreOutcome(p, "", Verdict.STORED, 0, "") for p in paths]

        def answer() -> StoreOutcome:
            verdict, status = left.pop(0) if len(left) > 1 else left[0]
            return StoreOutcome(Path(), "", verdict, status, f"answer {status}", **more)

        return replace(self.pacs, send=send)

    def row(self, uid: str) -> dict[str, Any]:
        """What is told of one object."""
        rows = (self.overview.job(self.job_id) or {})["deliveries"]
        return next(row for row in rows if row["sop_instance_uid"] == uid)

    @property
    def states(self) -> dict[str, str]:
        return {d["sop_instance_uid"]: d["state"] for d in (self.overview.job(self.job_id) or {})["deliveries"]}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def referring(tmp_path: Path) -> Bench:
    return Bench(tmp_path, referring=True)


def test_each_destination_gets_what_it_wants_by_its_rules(bench: Bench) -> None:
    other = replace(bench.pacs, style="labelmap", kinds=frozenset(["lobes"]), rules=(Rule(calling_ae=("CT*",)),))
    bench.destinations |= {"labelmaps": other, "never": replace(other, rules=(Rule(body_part=("HEAD",)),))}
    assert bench.plan() == ["labelmaps", "pacs"]
    plans = bench.plans.of_job(bench.jobs.get(bench.job_id))
    assert {name: plan.objects for name, plan in plans.items()} == {"pacs": [SEG, SR, PDF], "labelmaps": [LABELMAP]}


def test_stored_becomes_delivered_when_the_pacs_commits_to_it(bench: Bench) -> None:
    bench.plan()
    bench.answers = [ACCEPTED]
    assert bench.deliver() == 100.0
    assert bench.asked[0][1] == bench.sent == [SEG, SR, PDF]
    assert set(bench.states.values()) == {"stored"}
    bench.clock += timedelta(seconds=10)
    assert bench.report(0, [SEG, SR, PDF])
    assert (bench.state, set(bench.states.values())) == (State.DELIVERED, {"committed"})
    assert bench.latencies == [310.0]
    assert bench.deliver(90) is None


def test_an_answer_on_the_same_association_ends_it_at_once(bench: Bench) -> None:
    bench.plan()

    def ask(transaction_uid: str, references: Sequence[Reference]) -> Asked:
        return Asked(True, "accepted", report=Report(transaction_uid, frozenset([SEG, SR, PDF]), {}))

    bench.destinations["pacs"] = replace(bench.pacs, ask=ask)
    assert bench.deliver() is None
    assert bench.state is State.DELIVERED


def test_what_the_pacs_lost_is_sent_again_and_what_it_will_never_keep_is_refused(bench: Bench) -> None:
    bench.plan()
    bench.answers = [ACCEPTED, ACCEPTED]
    bench.deliver()
    bench.report(0, [SEG], {SR: 0x0112, PDF: 0x0122})
    assert bench.states == {SEG: "committed", SR: "built", PDF: "refused"}
    assert bench.counted == {"stored": 3, "unconfirmed": 2}
    bench.sent.clear()
    assert bench.deliver(100) == 100.0
    assert bench.sent == [SR] and bench.asked[1][1] == [SR]
    bench.report(1, [SR])
    assert bench.state is State.UNDELIVERED, "the refused PDF waits for an operator"


@pytest.mark.parametrize("row", tried(failure_reasons()))
def test_a_failure_reason_leads_to_what_the_conformance_statement_says(bench: Bench, row: Row) -> None:
    bench.plan()
    bench.answers = [ACCEPTED]
    bench.deliver()
    bench.report(0, [SEG, PDF], {SR: 0xC0DE if row.key == "other" else int(row.key, 16)})
    assert bench.states[SR] == {"resend": "built", "ask later": "stored", "refused": "refused"}[row.cells[2]]


def test_a_report_that_comes_twice_counts_once(bench: Bench) -> None:
    bench.plan()
    bench.answers = [ACCEPTED, ACCEPTED]
    bench.deliver()
    for _ in range(2):
        assert bench.report(0, [SEG], {SR: 0x0112, PDF: 0x0112})
    assert bench.counted == {"stored": 3, "unconfirmed": 2}
    bench.deliver(100)
    for _ in range(2):
        assert bench.report(1, [SR, PDF])
    assert len(bench.latencies) == 1


def test_a_silent_pacs_is_asked_again_then_searched(bench: Bench) -> None:
    bench.plan()
    bench.answers = [ACCEPTED] * 3
    assert [bench.deliver(s) for s in (0, 100, 100)] == [100.0] * 3
    assert bench.deliver(50) == 50.0, "not before the time is over"
    bench.there = frozenset([SEG, SR])
    assert bench.deliver(50) is not None
    assert bench.states == {SEG: "committed", SR: "committed", PDF: "built"}, "what it does not have is sent again"
    assert bench.counted == {"stored": 3, "unconfirmed": 1}
    assert len(bench.asked) == 3


def test_a_silent_pacs_is_asked_again_although_the_clock_was_set_back(bench: Bench) -> None:
    bench.plan()
    bench.answers = [ACCEPTED] * 3
    waits_s = [bench.deliver(s) for s in (0, -7200, 100)]
    assert waits_s == [100.0] * 3
    assert len(bench.asked) == 3


def test_what_an_operator_sends_again_was_delivered_before(bench: Bench) -> None:
    bench.destinations["pacs"] = replace(bench.pacs, confirm=Confirm.NONE)
    bench.plan()
    bench.deliver()
    first = bench.overview.job(bench.job_id)
    bench.clock += timedelta(days=30)
    bench.deliveries.resend(bench.job_id, bench.plans.of_job(bench.jobs.get(bench.job_id)), "me", bench.clock)
    assert bench.deliver() is None
    again = bench.overview.job(bench.job_id)
    assert first is not None and again is not None
    assert (again["state"], again["latency_s"]) == ("delivered", first["latency_s"])
    assert bench.latencies == [300.0]


def test_a_peer_that_knows_no_commitment_is_searched_at_once(bench: Bench) -> None:
    bench.plan()
    bench.answers = [Asked(False, "no presentation context was accepted", unsupported=True)]
    bench.there = frozenset([SEG, SR, PDF])
    assert bench.deliver() is None
    assert bench.state is State.DELIVERED


def test_what_is_not_registered_yet_is_not_sent_twice(bench: Bench) -> None:
    bench.destinations["pacs"] = replace(bench.pacs, confirm=Confirm.QUERY)
    bench.plan()
    assert bench.deliver() == 5.0
    assert set(bench.states.values()) == {"stored"}
    bench.there = frozenset([SEG, SR, PDF])
    assert bench.deliver(5) is None
    assert (bench.state, bench.sent) == (State.DELIVERED, [SEG, SR, PDF])


def test_what_is_never_confirmed_is_not_called_delivered(bench: Bench) -> None:
    bench.destinations["pacs"] = replace(bench.pacs, confirm=Confirm.QUERY)
    bench.plan()
    bench.there = None
    assert bench.deliver() == 5.0
    assert bench.deliver(3600) is None
    assert (bench.state, set(bench.states.values())) == (State.UNDELIVERED, {"unconfirmed"})
    assert bench.counted == {"stored": 3, "unconfirmed": 3}
    assert "stored, but pacs never confirmed it" in str(bench.overview.job(bench.job_id))


def test_an_answer_to_a_question_of_nobody_is_refused(bench: Bench) -> None:
    bench.plan()
    bench.answers = [ACCEPTED]
    bench.deliver()
    assert not keep_report(Report("6.6.6", frozenset([SEG]), {}), bench.deliveries, bench, NOW)


def test_a_destination_that_needs_no_confirmation(bench: Bench) -> None:
    bench.destinations["pacs"] = replace(bench.pacs, confirm=Confirm.NONE)
    bench.plan()
    assert bench.deliver() is None
    assert (bench.state, set(bench.states.values())) == (State.DELIVERED, {"stored"})


def test_stored_after_a_long_outage_is_still_asked_for(bench: Bench) -> None:
    bench.plan()
    bench.answers = [ACCEPTED]
    assert bench.deliver(7200) == 100.0
    assert len(bench.asked) == 1


def test_what_is_stored_is_asked_for_while_another_object_waits(bench: Bench) -> None:
    def send(paths: Sequence[Path]) -> list[StoreOutcome]:
        verdicts = [Verdict.TRANSIENT if p.name == PDF else Verdict.STORED for p in paths]
        return [StoreOutcome(p, "", v, None, "busy") for p, v in zip(paths, verdicts, strict=True)]

    bench.destinations["pacs"] = replace(bench.pacs, send=send)
    bench.plan()
    bench.answers = [ACCEPTED]
    assert bench.deliver() == 5.0
    assert bench.asked[0][1] == [SEG, SR]


def test_a_pacs_that_cannot_be_reached_is_asked_again_and_not_given_up(bench: Bench) -> None:
    bench.plan()
    bench.answers, bench.there = [Asked(False, "no connection")] * 4 + [ACCEPTED], None
    waits = [bench.deliver(s) for s in (0, 5, 60, 60, 60)]
    assert waits == [5.0, 60.0, 60.0, 60.0, 100.0]
    assert bench.report(4, [SEG, SR, PDF])
    assert bench.state is State.DELIVERED


def test_an_archive_that_cannot_be_searched_is_asked_less_and_less_often(bench: Bench) -> None:
    bench.destinations["pacs"] = replace(bench.pacs, confirm=Confirm.QUERY)
    bench.plan()
    bench.there = None
    assert [bench.deliver(s) for s in (0, 5, 60)] == [5.0, 60.0, 60.0]


def test_confirming_nothing_any_more_releases_what_waits(bench: Bench) -> None:
    bench.plan()
    bench.answers = [ACCEPTED]
    bench.deliver()
    bench.destinations["pacs"] = replace(bench.pacs, confirm=Confirm.NONE)
    assert bench.deliver(100) is None
    assert bench.state is State.DELIVERED


def test_an_error_that_nobody_foresaw_is_recorded_and_ends(bench: Bench) -> None:
    def send(paths: Sequence[Path]) -> list[StoreOutcome]:
        raise KeyError("PatientName is Doe^Jane")

    bench.destinations["pacs"] = replace(bench.pacs, send=send)
    bench.plan()
    assert bench.deliver() == 5.0
    assert "internal error KeyError" in str(bench.overview.job(bench.job_id))
    assert "Doe" not in str(bench.overview.job(bench.job_id))
    assert bench.deliver(7200) is None
    assert bench.state is State.UNDELIVERED


@pytest.mark.slow
def test_what_the_archive_takes_and_never_has_is_sent_three_times_and_then_ends_by_name(bench: Bench) -> None:
    bench.destinations["pacs"] = replace(bench.pacs, confirm=Confirm.QUERY, answer_within_s=20.0)
    bench.plan()
    waits_s = [bench.deliver(60) for _ in range(20)]
    assert bench.sent.count(SEG) == bench.sent.count(PDF) == 3
    assert waits_s[-1] is None
    assert (bench.state, set(bench.states.values())) == (State.UNDELIVERED, {"unconfirmed"})
    row = bench.row(SEG)
    assert (row["absences"], row["attempts"]) == (3, 3)
    assert row["last_error"] == (
        "stored, but not found there, 3 times: the archive takes it and does not have it; it may assign other UIDs"
    )
    bench.deliveries.resend(bench.job_id, bench.plans.of_job(bench.jobs.get(bench.job_id)), "me", bench.clock)
    row = bench.row(SEG)
    assert (row["state"], row["absences"], row["first_stored_at"]) == ("built", 0, None), "the operator starts anew"


def test_commitments_that_name_no_such_object_count_as_absences(bench: Bench) -> None:
    bench.plan()
    bench.answers = [ACCEPTED] * 9
    for number in range(3):
        bench.deliver(100)
        bench.report(number, [SR, PDF], {SEG: 0x0112})
    assert bench.deliver(100) is None
    assert (bench.states[SEG], bench.sent.count(SEG), bench.state) == ("unconfirmed", 3, State.UNDELIVERED)


def test_the_time_for_trying_counts_from_the_first_store(bench: Bench) -> None:
    bench.destinations["pacs"] = replace(bench.pacs, confirm=Confirm.QUERY, answer_within_s=2000.0)
    bench.plan()
    bench.deliver()
    assert bench.deliver(2001) is not None, "absent once, and sent again"
    assert bench.deliver(60) is not None
    assert bench.deliver(1600) is None, "an hour after the first store"
    assert set(bench.states.values()) == {"unconfirmed"}


@pytest.mark.parametrize("message", ["N-ACTION status 0x0124", "N-ACTION status 0x0110", "association rejected"])
def test_after_a_refused_question_a_query_decides(bench: Bench, message: str) -> None:
    bench.plan()
    bench.answers, bench.there = [Asked(False, message)] * 9, frozenset([SEG, SR])
    assert bench.deliver() == 5.0
    assert bench.states == {SEG: "committed", SR: "committed", PDF: "stored"}
    bench.deliver(101)
    assert bench.states[PDF] == "built", "it is not there and is sent again"


def test_after_a_report_that_decides_nothing_a_query_decides(bench: Bench) -> None:
    bench.plan()
    bench.answers, bench.there = [ACCEPTED] * 9, frozenset([SEG, SR, PDF])
    bench.deliver()
    bench.report(0, [], dict.fromkeys([SEG, SR, PDF], 0x0110))
    assert bench.deliver(100) is None
    assert (len(bench.asked), bench.state) == (1, State.DELIVERED)


@pytest.mark.parametrize("reason", [0x0110, 0x0213])
def test_an_archive_without_queries_that_wants_to_be_asked_later_is_asked_again(bench: Bench, reason: int) -> None:
    bench.plan()
    bench.answers, bench.there = [ACCEPTED] * 9, None
    bench.deliver()
    for number in range(4):
        bench.report(number, [], dict.fromkeys([SEG, SR, PDF], reason))
        assert bench.deliver(100) == 100.0
    assert len(bench.asked) == 5
    bench.report(4, [SEG, SR, PDF])
    assert bench.state is State.DELIVERED


def test_a_silent_archive_without_queries_is_asked_until_the_time_is_over(bench: Bench) -> None:
    bench.plan()
    bench.answers, bench.there = [ACCEPTED] * 99, None
    assert [bench.deliver(s) for s in (0, *[100] * 6)] == [100.0] * 7
    assert len(bench.asked) == 7
    assert bench.deliver(3600) is None
    assert (bench.state, set(bench.states.values())) == (State.UNDELIVERED, {"unconfirmed"})


def test_what_refers_to_a_refused_object_is_withheld_by_name(referring: Bench) -> None:
    refusing = referring.answering(SEG, Verdict.PERMANENT, 0xA900)
    referring.destinations["pacs"] = replace(refusing, confirm=Confirm.NONE)
    referring.plan()
    assert referring.deliver() is None
    assert referring.sent == [SEG, PDF], "what is referred to goes first"
    assert referring.states == {SEG: "refused", SR: "withheld", PDF: "stored"}
    assert referring.row(SR)["last_error"] == "withheld: it refers to lobes, which is refused at pacs"
    assert (referring.row(SR)["attempts"], referring.state) == (0, State.UNDELIVERED)
    assert referring.counted == {"refused": 1, "stored": 1, "withheld": 1}
    referring.destinations["pacs"] = replace(referring.pacs, confirm=Confirm.NONE)
    referring.deliveries.retry(
        referring.job_id, referring.plans.of_job(referring.jobs.get(referring.job_id)), "me", referring.clock
    )
    assert referring.deliver() is None
    assert (referring.sent[2:], referring.state) == ([SEG, SR], State.DELIVERED)


def test_what_refers_to_an_object_that_waits_waits_with_it(referring: Bench) -> None:
    busy = referring.answering(SEG, Verdict.TRANSIENT, 0xC000)
    referring.destinations["pacs"] = replace(busy, confirm=Confirm.NONE)
    referring.plan()
    assert [referring.deliver(), referring.deliver(5)] == [5.0, 60.0]
    assert (referring.states, referring.sent) == ({SEG: "built", SR: "built", PDF: "stored"}, [SEG, PDF, SEG])
    assert referring.row(SR)["next_attempt_at"] == referring.clock + timedelta(seconds=60)
    referring.destinations["pacs"] = replace(referring.pacs, confirm=Confirm.NONE)
    assert referring.deliver(60) is None
    assert referring.sent[-2:] == [SEG, SR]


def test_a_destination_that_gets_no_segmentations_gets_what_refers_to_them(referring: Bench) -> None:
    referring.destinations["pacs"] = replace(referring.pacs, kinds=frozenset(["study"]), confirm=Confirm.NONE)
    referring.plan()
    assert referring.deliver() is None
    assert referring.states == {SR: "stored"}


@pytest.mark.parametrize(
    ("verdict", "status", "unsupported", "attempts"),
    [(Verdict.PERMANENT, None, True, 1), (Verdict.PERMANENT, 0xA900, True, 1), (Verdict.TRANSIENT, 0xC000, False, 2)],
)
def test_where_label_maps_are_not_taken_the_binary_style_goes_out(
    referring: Bench, verdict: Verdict, status: int | None, unsupported: bool, attempts: int
) -> None:
    refusing = referring.answering(LABELMAP, verdict, status, unsupported=unsupported)
    labelled = replace(refusing, style="labelmap", fallback="binary", confirm=Confirm.NONE)
    referring.destinations["pacs"] = labelled
    referring.plan()
    assert [referring.deliver(60) for _ in range(attempts)] == [5.0, None][-attempts:]
    assert referring.sent == [LABELMAP, PDF, LABELMAP, SEG, SR] if attempts == 2 else [LABELMAP, PDF, SEG, SR]
    assert referring.state is State.DELIVERED
    assert referring.states == {LABELMAP: "withdrawn", SEG: "stored", SR: "stored", PDF: "stored"}
    assert referring.row(LABELMAP)["last_error"] == f"answer {status}: binary is sent instead"


NOBODY, BUSY = (Verdict.TRANSIENT, None), (Verdict.TRANSIENT, 0xC000)


def labelled(bench: Bench, *answers: tuple[Verdict, int | None]) -> Target:
    """The PACS gets label maps, and answers to them so."""
    pacs = bench.answering_in_turn(LABELMAP, answers)
    return replace(pacs, style="labelmap", fallback="binary", confirm=Confirm.NONE)


def test_one_answer_after_an_outage_takes_no_label_map_away(referring: Bench) -> None:
    referring.destinations["pacs"] = labelled(referring, NOBODY, NOBODY, NOBODY, BUSY, (Verdict.STORED, 0))
    referring.plan()
    assert [referring.deliver(60) for _ in range(5)] == [5.0, 60.0, 60.0, 60.0, None]
    assert referring.states == {LABELMAP: "stored", SR: "stored", PDF: "stored"}


def test_what_was_answered_before_an_operator_sends_again_counts_no_more(referring: Bench) -> None:
    referring.destinations["pacs"] = labelled(referring, BUSY, BUSY, (Verdict.STORED, 0))
    referring.plan()
    referring.deliver()
    plans = referring.plans.of_job(referring.jobs.get(referring.job_id))
    referring.deliveries.resend(referring.job_id, plans, "me", referring.clock)
    assert [referring.deliver(60) for _ in range(2)] == [60.0, None]
    assert referring.states == {LABELMAP: "stored", SR: "stored", PDF: "stored"}


def test_a_label_map_that_is_not_understood_when_the_time_is_over_goes_out_as_binary(referring: Bench) -> None:
    referring.destinations["pacs"] = labelled(referring, NOBODY, BUSY)
    referring.plan()
    referring.deliver()
    assert referring.deliver(7200) is None
    assert referring.states == {LABELMAP: "withdrawn", SEG: "stored", SR: "stored", PDF: "stored"}
    assert referring.state is State.DELIVERED


def test_of_a_style_that_is_replaced_also_what_has_ended_is_withdrawn(tmp_path: Path) -> None:
    """One label map is refused for good, and later the other in a way that calls for the other style."""
    bench = Bench(tmp_path, more=[StoredObject("findings", "1.2.3", "1.9.5", "", "", "labelmap")])
    refused = (Verdict.PERMANENT, 0x0117)
    answers = {LABELMAP: [refused], "1.9.5": [BUSY, BUSY]}

    def send(paths: Sequence[Path]) -> list[StoreOutcome]:
        verdicts = [answers[p.name].pop(0) if p.name in answers else (Verdict.STORED, 0) for p in paths]
        return [StoreOutcome(p, "", v, s, "") for p, (v, s) in zip(paths, verdicts, strict=True)]

    bench.destinations["pacs"] = replace(
        bench.pacs, send=send, style="labelmap", fallback="binary", confirm=Confirm.NONE, kinds=ALL | {"findings"}
    )
    bench.plan()
    bench.deliver()
    assert bench.states[LABELMAP] == "refused"
    assert bench.deliver(60) is None
    assert (bench.states[LABELMAP], bench.states["1.9.5"], bench.states[SEG]) == ("withdrawn", "withdrawn", "stored")
    assert bench.state is State.DELIVERED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("style", "fallback", "gets"),
    [("labelmap.all-frames", "binary", SEG), ("labelmap.all-frames", None, SEG), ("binary.all-frames", None, SEG)],
)
def test_a_destination_whose_style_was_never_encoded_gets_one_that_was(
    bench: Bench, style: str, fallback: str | None, gets: str
) -> None:
    bench.destinations["pacs"] = replace(bench.pacs, style=style, fallback=fallback, confirm=Confirm.NONE)
    assert bench.plans.of_job(bench.jobs.get(bench.job_id))["pacs"].objects == [gets, SR, PDF]
    bench.plan()
    assert (bench.deliver(), bench.sent, bench.state) == (None, [gets, SR, PDF], State.DELIVERED)


@pytest.mark.parametrize(
    ("verdict", "state", "held"),
    [(Verdict.PERMANENT, State.UNDELIVERED, "withheld"), (Verdict.TRANSIENT, State.DELIVERING, "built")],
)
def test_measurements_of_an_earlier_version_go_only_where_their_segmentations_are(
    tmp_path: Path, verdict: Verdict, state: State, held: str
) -> None:
    """What they refer to was not recorded then."""
    bench = Bench(tmp_path, more=[StoredObject("measurements", "1.2.3", "1.9.5", "", "", "binary")])
    refusing = bench.answering(SEG, verdict, 0xA900 if verdict is Verdict.PERMANENT else 0xA700)
    kinds = ALL | {"measurements"}
    bench.destinations["pacs"] = replace(refusing, confirm=Confirm.NONE, kinds=kinds)
    bench.plan()
    bench.deliver()
    assert "1.9.5" not in bench.sent
    assert (bench.states["1.9.5"], bench.states[SR], bench.state) == (held, "stored", state)


def test_a_label_map_that_is_taken_is_sent_alone(bench: Bench) -> None:
    bench.destinations["pacs"] = replace(bench.pacs, style="labelmap", fallback="binary", confirm=Confirm.NONE)
    bench.plan()
    assert bench.deliver() is None
    assert bench.sent == [LABELMAP, SR, PDF]


def test_an_unclear_success_is_looked_for_before_it_is_sent_again(bench: Bench) -> None:
    unclear = bench.answering(SEG, Verdict.UNCLEAR)
    bench.destinations["pacs"] = replace(unclear, confirm=Confirm.NONE)
    bench.plan()
    assert bench.deliver() == 5.0
    assert (bench.row(SEG)["state"], bench.row(SEG)["last_error"]) == ("stored", "answer None")
    assert bench.state is State.DELIVERING
    assert (bench.deliver(5), bench.sent.count(SEG)) == (60.0, 1), "not there yet, and not sent again yet"
    bench.there = frozenset([SEG])
    assert bench.deliver(60) is None
    assert (bench.states[SEG], bench.sent.count(SEG), bench.state) == ("committed", 1, State.DELIVERED)


def test_a_warning_is_shown_with_what_was_stored_and_counted(bench: Bench) -> None:
    bench.destinations["pacs"] = bench.answering(SEG, Verdict.STORED, 0xB000)
    bench.plan()
    bench.answers = [ACCEPTED]
    bench.deliver()
    bench.report(0, [SEG, SR, PDF])
    assert (bench.row(SEG)["state"], bench.row(SEG)["status"]) == ("committed", 0xB000)
    assert bench.row(SEG)["last_error"] == f"answer {0xB000}"
    assert bench.counted == {"stored": 3, "warned": 1}


def test_what_was_converted_is_confirmed_under_its_own_uid(bench: Bench) -> None:
    converted = ("1.2.4", "9.9")
    bench.destinations["pacs"] = bench.answering(SR, Verdict.STORED, 0, sent_as=converted)
    bench.plan()
    bench.answers = [ACCEPTED]
    bench.deliver()
    assert bench.asked[0][1] == [SEG, "9.9", PDF]
    assert (bench.row(SR)["sent_class_uid"], bench.row(SR)["sent_instance_uid"]) == converted
    bench.report(0, [SEG, "9.9", PDF])
    assert bench.state is State.DELIVERED


def test_a_destination_gets_the_root_that_refers_to_what_it_gets() -> None:
    parts = [StoredObject("lobes", "1.2", "1.1", "a", ""), StoredObject("report-dicom", "1.2", "1.2", "b", "")]
    roots = [
        StoredObject("study", "1.2", f"2.{n}", "c", "", refers_to=uids)
        for n, uids in enumerate([("1.1", "1.2"), ("1.1",), ("1.2",), ("1.1", "1.2", "1.3")])
    ]
    assert with_one_root([*parts, *roots]) == [*parts, roots[0]]
    assert with_one_root([parts[0], *roots]) == [parts[0], roots[1]]
    assert with_one_root([parts[1], roots[0], roots[3]]) == [parts[1], roots[0]], "the least that is not there"
    assert with_one_root(parts) == parts


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1), timedelta(days=365)])
@pytest.mark.parametrize("back", [False, True])
def test_a_clock_that_jumps_between_two_attempts_loses_nothing(tmp_path: Path, jump: timedelta, back: bool) -> None:
    bench = Bench(tmp_path)
    bench.destinations["pacs"] = replace(
        bench.answering_in_turn(SR, [(Verdict.TRANSIENT, None), (Verdict.STORED, 0)]), confirm=Confirm.NONE
    )
    bench.plan()
    assert bench.deliver() == 5.0
    bench.clock += jump
    if back:
        bench.clock -= jump
    assert bench.deliver(5) is None
    assert bench.state is State.DELIVERED
    assert set(bench.states.values()) == {"stored"}
