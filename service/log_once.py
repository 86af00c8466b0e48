"""Logs a repeated failure once, and once more when it is over."""

import logging


class LogOnce:
    """Told by one thread at a time.

    failing: a log text with one %s, for what goes wrong; works_again: the text when it is over.
    """

    def __init__(self, log: logging.Logger, failing: str, works_again: str) -> None:
        self._log = log
        self._failing = failing
        self._works_again = works_again
        self._said = ""

    def tell(self, what: str, kind: str | None = None) -> None:
        """Say it, unless the same kind was said last time; "": nothing goes wrong. kind: None: as `what`."""
        kind = what if kind is None else kind
        if what and kind != self._said:
            self._log.error(self._failing, what)
        elif self._said and not what:
            self._log.warning(self._works_again)
        self._said = kind
