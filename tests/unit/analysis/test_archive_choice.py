"""Which result of an archive is taken, and what is said where the archive was not asked."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from service.analysis.archive_priors import _is_of_another_issuer, _newest
from service.analysis.priors import NOT_THE_ARCHIVE, PriorFiles, Several
from service.domain.prior import Patient
from service.evidence.context import STUDY
from service.evidence.series import PER_RESULT

FIRST = 4000
JANE = Patient("4711", "NORTH", "", "", "")


class Source:
    def candidates(self, _wanted: object) -> Iterator[AbstractContextManager[PriorFiles]]:
        yield nullcontext(PriorFiles({}, ("As it was.",)))


def test_the_newest_number_with_a_study_sr_is_taken() -> None:
    notice = FIRST + PER_RESULT + STUDY.offset + 1
    held = _newest("1.2", {FIRST + STUDY.offset: "study", notice: "notice"}, {}, FIRST)
    assert held is not None and (held.number, held.reports[STUDY.offset]) == (1, "study")
    assert _newest("1.2", {notice: "notice"}, {}, FIRST) is None


def test_another_issuer_is_another_patient_and_none_is_in_doubt() -> None:
    assert _is_of_another_issuer(JANE, replace(JANE, issuer="SOUTH"))
    assert not _is_of_another_issuer(JANE, replace(JANE, issuer="north"))
    assert not _is_of_another_issuer(JANE, replace(JANE, issuer=""))


def test_a_result_of_ours_says_that_the_archive_was_not_asked() -> None:
    ours, theirs = Several([Source(), Source()]).candidates(object())  # type: ignore[arg-type]
    with ours as held, theirs as other:
        assert held.remarks == ("As it was.", NOT_THE_ARCHIVE) and other.remarks == ("As it was.",)
