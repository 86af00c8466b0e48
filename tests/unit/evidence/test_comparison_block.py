"""Which lines and sentences of a comparison the printed page has room for."""

import dataclasses

from helpers.comparison_samples import COMPARISON, GREW

from service.domain.comparison import FindingChange, Match
from service.evidence.report.comparison import MOST_ROWS, _that_fit, comparison_table
from service.evidence.report.page import INNER, wrapped

MATCHED = tuple(FindingChange(f"Finding {n}", Match.MATCHED, f"G{n}", f"G{n}", (GREW, GREW)) for n in range(5))
GONE = tuple(FindingChange(f"G{n} of the earlier result", Match.GONE, None, f"G{n}") for n in range(5, 7))
NEW = FindingChange("Finding 9", Match.NEW, "G9", None)
MANY = dataclasses.replace(COMPARISON, findings=(*MATCHED, NEW, *GONE))


def test_what_is_new_and_what_is_gone_stands_first_and_every_finding_before_any_number() -> None:
    names = [row.name for row in comparison_table(MANY).rows]
    assert names == [NEW.title, *(one.title for one in GONE), *(one.title for one in MATCHED)]
    assert "13 more lines are in the structured report." in _that_fit(MANY)


def test_findings_that_are_cut_are_counted() -> None:
    more = dataclasses.replace(MANY, findings=MANY.findings + GONE)
    assert "15 more lines are in the structured report, 2 of them findings." in _that_fit(more)
    assert len(comparison_table(more).rows) == MOST_ROWS


def test_remarks_are_cut_between_sentences_and_counted_the_important_ones_first() -> None:
    remarks = ("A reviewer has overridden the earlier headline.", *(f"{'word ' * 20}{n}." for n in range(9)))
    told = _that_fit(dataclasses.replace(MANY, remarks=remarks))
    assert told[0].startswith("13 more lines") and told[1] == remarks[0]
    kept = [one for one in remarks if one in told]
    assert tuple(kept) == remarks[: len(kept)] and 1 < len(kept) < len(remarks)
    assert told[-1] == f"{len(remarks) - len(kept) + 2} more remarks in the structured report."
    assert len(wrapped(" ".join(told), 7.0, INNER - 8)) <= 3
