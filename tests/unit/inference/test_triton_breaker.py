"""The circuit breaker by a clock of its own: it begins open, opens after failures in a row, one trial closes it."""

import threading

import pytest

from service.errors import Permanent, Transient
from service.inference.breaker import Breaker, Cancelled


class Server:
    """The other side: `wrong` is what it says to everything, "" that it works."""

    def __init__(self) -> None:
        self.wrong, self.trials, self.calls, self.now_s = "", 0, 0, 100.0
        self.breaker = Breaker(self.trial, failures=3, pause_s=10, clock=lambda: self.now_s)

    def trial(self) -> None:
        self.trials += 1
        self.answer()

    def work(self) -> str:
        self.calls += 1
        return self.answer()

    def answer(self) -> str:
        if self.wrong:
            raise Transient(self.wrong)
        return "done"

    def call(self) -> str:
        return self.breaker.call(self.work)


def fail(server: Server, times: int, match: str) -> None:
    for _ in range(times):
        with pytest.raises(Transient, match=match):
            server.call()


def test_one_trial_precedes_all_work() -> None:
    server = Server()
    assert [server.call(), server.call()] == ["done", "done"]
    assert (server.trials, server.calls) == (1, 2)


def test_nothing_is_asked_of_a_server_that_failed_its_trial_until_the_pause_is_over() -> None:
    server = Server()
    server.wrong = "away"
    fail(server, 1, "^away$")
    server.now_s += 9
    fail(server, 2, r"away \(asked again in 1 s\)")
    assert (server.trials, server.calls) == (1, 0)
    server.now_s += 1
    server.wrong = ""
    assert server.call() == "done"
    assert (server.trials, server.calls) == (2, 1)


def test_it_opens_after_failures_in_a_row_only() -> None:
    server = Server()
    server.call()
    for _ in range(2):
        server.wrong = "late"
        fail(server, 2, "^late$")
        server.wrong = ""
        server.call()
    server.wrong = "late"
    fail(server, 3, "^late$")
    calls = server.calls
    fail(server, 1, "asked again in 10 s")
    assert server.calls == calls
    server.now_s += 10
    server.wrong = "worse"
    fail(server, 1, "^worse$")
    fail(server, 1, "worse .*asked again in 10 s")
    assert server.calls == calls, "the trial decides, not a study"


def test_a_refused_image_says_nothing_about_the_server() -> None:
    server = Server()

    def refuse() -> None:
        raise Permanent("too large")

    for _ in range(5):
        with pytest.raises(Permanent):
            server.breaker.call(refuse)
    assert server.call() == "done"
    assert server.trials == 1


def test_what_its_caller_ended_says_nothing_about_the_server() -> None:
    server = Server()
    server.call()

    def ended() -> None:
        raise Cancelled("nobody wants it any more")

    for _ in range(5):
        with pytest.raises(Cancelled):
            server.breaker.call(ended)
    assert server.call() == "done"
    assert server.trials == 1


def test_a_test_opens_and_closes_at_once() -> None:
    server = Server()
    server.call()
    server.wrong = "wrong answer"
    with pytest.raises(Transient):
        server.breaker.test()
    fail(server, 1, "wrong answer .*asked again")
    server.wrong = ""
    server.breaker.test()
    assert server.call() == "done"


def test_callers_at_once_make_one_trial() -> None:
    trials, trying, go_on = [], threading.Event(), threading.Event()

    def trial() -> None:
        trials.append(1)
        trying.set()
        assert go_on.wait(60)

    breaker = Breaker(trial)
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(breaker.call(lambda: "done"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert trying.wait(60)
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert (answers, len(trials)) == (["done"] * 4, 1)
