"""Headlines of results, for tests that need no analysis."""

from typing import Any

from service.domain.analysis import Headline
from service.domain.codes import SCORE
from service.evidence.result import headline_document
from service.pipelines.covid_severity.score import MAX, NAME, category


def severity(score: int | None) -> Headline:
    """As the covid-severity pipeline gives it."""
    if score is None:
        return Headline(NAME, None, SCORE, MAX, words="no total score, a lobe was not found")
    return Headline(NAME, score, SCORE, MAX, category(score), f"involvement: {category(score)}", "no noise floor")


def scored(score: int | None) -> dict[str, Any]:
    """The same as jobs keep it."""
    return headline_document(severity(score))
