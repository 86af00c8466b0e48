"""Waits between attempts. Time is an argument."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """delays_s: waits after the first, second, ... attempt; the last one repeats until `give_up_after`."""

    delays_s: tuple[float, ...]
    give_up_after: timedelta

    def wait_s(self, attempt: int, age: timedelta) -> float | None:
        """Seconds to wait after a failed attempt (counted from 1) of work this old; None: give up."""
        if age >= self.give_up_after:
            return None
        return self.delays_s[min(attempt, len(self.delays_s)) - 1]
