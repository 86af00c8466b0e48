"""Keeps a log from growing without end when something goes wrong a thousand times a second.

A line passes while its very text was logged fewer than `SAME_TEXT` times in this minute, and lines of its kind (of one
place in the code) fewer than `SAME_KIND` times. What was left out is told once the minute is over.
"""

import logging
from collections.abc import Hashable
from dataclasses import dataclass, field

SAME_TEXT = 10
SAME_KIND = 300
MINUTE_S = 60.0
MOST_TEXTS = 10_000
"""Texts that are counted in one minute; from then on only the kinds are."""

_ERRORS_MORE = 10
"""So many more lines of a kind pass that tell of an error, each of which may be of another job."""

LONGEST_KEY = 500


@dataclass(slots=True)
class _Minute:
    """What was seen since it began. left_out: how many lines of each kind, with one of them as an example."""

    began_s: float = 0.0
    seen: dict[Hashable, int] = field(default_factory=dict)
    left_out: dict[Hashable, tuple[int, logging.LogRecord]] = field(default_factory=dict)


class Throttle:
    """Told by one thread at a time, as a handler's `emit` is. Lines below INFO pass: somebody asked for them."""

    def __init__(self, same_text: int = SAME_TEXT, same_kind: int = SAME_KIND) -> None:
        self._same_text, self._same_kind = same_text, same_kind
        self._minute = _Minute()

    def passed(self, record: logging.LogRecord) -> list[logging.LogRecord]:
        """Returns the lines to write now: the record if it passes, and before it what the minute before left out."""
        told = self._end_of_minute(record.created)
        if record.levelno < logging.INFO or self._passes(record):
            told.append(record)
        return told

    def _passes(self, record: logging.LogRecord) -> bool:
        minute = self._minute
        kind = (record.name, record.pathname, record.lineno, record.levelno)
        text = (record.name, record.levelno, record.getMessage()[:LONGEST_KEY], _place(record))
        of_kind, of_text = minute.seen.get(kind, 0), minute.seen.get(text, 0)
        most_of_kind = self._same_kind * (_ERRORS_MORE if record.levelno >= logging.ERROR else 1)
        if of_kind >= most_of_kind or of_text >= self._same_text:
            count, _ = minute.left_out.get(kind, (0, record))
            minute.left_out[kind] = (count + 1, record)
            return False
        minute.seen[kind] = of_kind + 1
        if of_text or len(minute.seen) < MOST_TEXTS:
            minute.seen[text] = of_text + 1
        return True

    def _end_of_minute(self, now_s: float) -> list[logging.LogRecord]:
        """Lines about what was left out, where a minute has passed, or the clock was set back."""
        if 0 <= now_s - self._minute.began_s < MINUTE_S:
            return []
        told = [_summary(count, example, now_s) for count, example in self._minute.left_out.values()]
        self._minute = _Minute(now_s)
        return told


class ThrottledHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to standard error what the throttle lets pass."""

    def __init__(self) -> None:
        super().__init__()
        self._throttle = Throttle()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            lines = self._throttle.passed(record)
        except (TypeError, ValueError, LookupError, AttributeError):  # values that do not fit the message
            self.handleError(record)
            return
        for line in lines:
            super().emit(line)


def _place(record: logging.LogRecord) -> Hashable:
    """What was raised and where, of a line with a traceback."""
    kind, _, frames = record.exc_info or (None, None, None)
    while frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    return kind, None if frames is None else (frames.tb_frame.f_code, frames.tb_lineno)


def _summary(count: int, example: logging.LogRecord, now_s: float) -> logging.LogRecord:
    first_line = example.getMessage()[:LONGEST_KEY].split("\n", 1)[0]
    message, values = "%d more lines like this one were left out: %s", (count, first_line)
    line = logging.LogRecord(example.name, example.levelno, example.pathname, example.lineno, message, values, None)
    line.created = now_s
    return line
