"""A line that repeats itself is written a few times a minute, and then counted."""

import io
import logging
import sys

import pytest

from service.ops.log_throttle import MINUTE_S, SAME_KIND, SAME_TEXT, Throttle, ThrottledHandler


def line(at_s: float, text: str = "accept: too many open files", number: int = 1, level: int = 40) -> logging.LogRecord:
    record = logging.LogRecord("asyncio", level, "/a.py", number, text, None, None)
    record.created = at_s
    return record


def texts(records: list[logging.LogRecord]) -> list[str]:
    return [record.getMessage() for record in records]


def test_a_repeated_line_passes_a_few_times_a_minute_and_the_rest_are_counted() -> None:
    throttle = Throttle()
    passed = [throttle.passed(line(100 + number / 1000)) for number in range(5000)]
    assert sum(map(len, passed)) == SAME_TEXT
    told = throttle.passed(line(100 + MINUTE_S, "another", number=2))
    assert texts(told) == [
        f"{5000 - SAME_TEXT} more lines like this one were left out: accept: too many open files",
        "another",
    ]
    assert len(throttle.passed(line(101 + MINUTE_S))) == 1, "a new minute"


def test_lines_of_one_kind_are_limited_though_each_differs() -> None:
    throttle = Throttle()
    passed = [throttle.passed(line(100, f"job {number}: no such thing", level=30)) for number in range(1000)]
    assert sum(map(len, passed)) == SAME_KIND
    errors = [throttle.passed(line(100, f"job {number} failed", number=3)) for number in range(1000)]
    assert sum(map(len, errors)) == 1000, "each may be of another job"
    assert len(throttle.passed(line(100, "job 5000", number=2))) == 1, "another place in the code"


def test_what_somebody_asked_for_passes_and_a_clock_that_is_set_back_stops_nothing() -> None:
    throttle = Throttle()
    assert sum(len(throttle.passed(line(100, level=logging.DEBUG))) for _ in range(100)) == 100
    assert sum(len(throttle.passed(line(100))) for _ in range(100)) == SAME_TEXT
    assert texts(throttle.passed(line(50)))[-1] == "accept: too many open files"


def test_the_handler_writes_what_passes() -> None:
    handler, stream = ThrottledHandler(), io.StringIO()
    handler.setStream(stream)
    for number in range(100):
        handler.handle(line(100 + number / 1000))
    handler.handle(line(200))
    assert len(stream.getvalue().splitlines()) == SAME_TEXT + 2


def test_errors_of_one_text_and_different_causes_all_pass() -> None:
    throttle, passed = Throttle(), 0
    for cause in (KeyError, ValueError, OSError):
        try:
            raise cause
        except cause:
            record = line(100, "a step failed")
            record.exc_info = sys.exc_info()
        passed += sum(len(throttle.passed(record)) for _ in range(SAME_TEXT))
    assert passed == 3 * SAME_TEXT


def test_values_that_do_not_fit_the_message_raise_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    handler = ThrottledHandler()
    record = logging.LogRecord("lib", logging.ERROR, "/a.py", 1, "%d things", ("x",), None)
    handler.emit(record)
    assert "Logging error" in capsys.readouterr().err
