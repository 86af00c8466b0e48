"""Structured logs: one JSON object per line on standard error. Job ids and counts, never patient data.

A line that repeats itself is throttled (`log_throttle`).
"""

import logging
import threading

import structlog

from service.errors import traceback_of
from service.ops.log_throttle import ThrottledHandler

log = logging.getLogger(__name__)


def configure(level: str, role: str) -> None:
    """Route every logger of this process through structlog's JSON renderer."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            lambda _logger, _method, event: {**event, "role": role},
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = ThrottledHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # It gives its logger a console handler of its own, in words over many lines, unless the logger has one.
    engine = logging.getLogger("dbos")
    engine.handlers, engine.propagate = [handler], False
    # Datasets' attributes and UIDs, or every statement: what matters of theirs we log in our own words.
    quiet = {"pynetdicom": logging.CRITICAL, "pydicom": logging.ERROR, "highdicom": logging.ERROR}
    for name, least in (quiet | dict.fromkeys(("uvicorn", "alembic", "dbos"), logging.WARNING)).items():
        logging.getLogger(name).setLevel(least)
    threading.excepthook = _ended_by


def _ended_by(ended: threading.ExceptHookArgs) -> None:
    """A line in place of a traceback on standard error, which is no JSON, and which a stranger may cause at will."""
    if ended.exc_value is None or isinstance(ended.exc_value, SystemExit):
        return
    thread = "a thread" if ended.thread is None else ended.thread.name
    log.error("%s ended: %s\n%s", thread, ended.exc_type.__name__, traceback_of(ended.exc_value))
