"""The worker step: turns an unexpected error into InternalError, so that it harms one series, study or candidate.

Besides the C-STORE handler this is the only place that catches every exception.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import ThoracleError, traceback_of


class InternalError(ThoracleError):
    """An error that nobody thought of. Its words are the kind alone: a message may quote a patient's attributes."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"internal error {type(cause).__name__}")
        self.cause = cause

    @property
    def kind(self) -> str:
        """Returns the name of the error's class."""
        return type(self.cause).__name__

    @property
    def where(self) -> str:
        """Returns the place where it arose, for the log."""
        return traceback_of(self.cause)


@contextmanager
def worker_step(*passing: type[Exception]) -> Iterator[None]:
    """Raise InternalError in place of any exception that nobody thought of.

    ThoracleError, OSError and `passing` leave the block as they are.
    """
    expected: tuple[type[Exception], ...] = (ThoracleError, OSError, *passing)
    try:
        yield
    except expected:
        raise
    except Exception as error:
        raise InternalError(error) from error
