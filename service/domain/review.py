"""A radiologist's review of a result: accepted or overridden."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.errors import ThoracleError

LONGEST_COMMENT = 2000
"""Characters."""


class Verdict(StrEnum):
    """Whether the headline stands."""

    ACCEPTED = "accepted"
    OVERRIDDEN = "overridden"


class NoReview(ThoracleError):
    """What was said is no review."""


@dataclass(frozen=True, slots=True)
class Review:
    """One word on one result.

    by: who says so. score: the radiologist's own value of the headline, where it was overridden. comment: free text,
    which may hold patient data: it is never logged nor counted. NoReview for a comment that is too long, and for a
    score of a result that was accepted.
    """

    verdict: Verdict
    by: str
    at: datetime
    score: int | None = None
    comment: str = ""

    def __post_init__(self) -> None:
        if len(self.comment) > LONGEST_COMMENT:
            raise NoReview(f"the comment has {len(self.comment)} characters, and {LONGEST_COMMENT} at most are kept")
        if self.score is not None and self.verdict is Verdict.ACCEPTED:
            raise NoReview("a score of one's own belongs to a result that was overridden")

    def check(self, maximum: float | None) -> None:
        """NoReview for a score outside the headline's scale. maximum: of the scale, None where it has none."""
        if self.score is None:
            return
        if maximum is None:
            raise NoReview("this result has no scale on which a score of one's own could be given")
        if not 0 <= self.score <= maximum:
            raise NoReview(f"the score {self.score} is outside 0-{maximum:g}")
