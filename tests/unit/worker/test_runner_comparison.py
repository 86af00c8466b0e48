"""What the runner records and counts of a comparison with an earlier CT."""

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers.comparison_samples import COMPARISON
from helpers.runner_bench import ANALYSED, AnalysedStub, Bench

from service.domain.comparison import Comparison
from service.domain.flags import LOSSY, PRIOR_NOT_ASKED, Flag
from service.domain.prior import Patient
from service.store.prior_jobs import patient_key
from service.store.tables import jobs

WHOSE = Patient("4711", "General", "", "", "")


class Compared(AnalysedStub):
    comparison: Comparison | None = None

    def __init__(self, comparison: Comparison | None, *flags: Flag) -> None:
        self.comparison, self.flags = comparison, flags


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def patient_of(bench: Bench) -> str | None:
    with bench.jobs._engine.begin() as connection:
        found: str | None = connection.scalar(sa.select(jobs.c.patient))
    return found


@pytest.mark.parametrize(
    ("analysis", "outcome"),
    [
        (Compared(COMPARISON, LOSSY), "compared"),
        (Compared(None, LOSSY), "none"),
        (Compared(None, LOSSY, PRIOR_NOT_ASKED), "prior_not_asked"),
    ],
)
def test_it_is_recorded_whose_a_result_is_and_counted_what_it_was_compared_with(
    bench: Bench, analysis: Compared, outcome: str
) -> None:
    bench.analysis = lambda: replace(ANALYSED, analysis=analysis, patient=WHOSE)  # type: ignore[arg-type]
    bench.runner.analyse(bench.job_id, 1)
    assert patient_of(bench) == patient_key("4711", "General")
    assert ("compared", outcome) in bench.counted


def test_where_nothing_is_compared_nobody_is_known_by_the_database(bench: Bench) -> None:
    bench.runner.analyse(bench.job_id, 1)
    assert patient_of(bench) is None
    assert not [one for one in bench.counted if one[0] == "compared"]
