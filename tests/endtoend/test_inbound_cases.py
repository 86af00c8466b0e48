"""Inbound CTs that failed at some hospital are refused by name, or give the result of the unmodified CT."""

from dataclasses import replace
from pathlib import Path

import pytest

from service.analysis.analyst import Analyst, Outcome
from tests.inbound.cases import RIGHT
from tests.inbound.page import PAGE, text
from tests.inbound.run import Recorder, Replay, Row, is_same, outcome_of, ready

_SAME = [name for name, right in RIGHT.items() if right.same]
_OTHERS = [name for name, right in RIGHT.items() if not right.same]


@pytest.fixture(scope="module")
def analysing() -> Analyst:
    return ready()


@pytest.fixture(scope="module")
def unmodified(analysing: Analyst, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Replay]:
    """The outcome of the unmodified CT, and a pipeline that answers the same for the same voxels."""
    recorder = Recorder(analysing.pipeline)
    outcome = outcome_of("", replace(analysing, pipeline=recorder), tmp_path_factory.mktemp("unmodified") / "ct")
    assert outcome.analysis is not None and recorder.volume is not None
    return outcome, Replay(analysing.pipeline, recorder.volume, outcome.analysis)


@pytest.mark.parametrize("name", _SAME)
def test_an_oddity_that_changes_no_voxel_gives_the_same_result(
    name: str, analysing: Analyst, unmodified: tuple[Outcome, Replay], tmp_path: Path
) -> None:
    outcome, replayed = unmodified
    found = outcome_of(name, replace(analysing, pipeline=replayed), tmp_path / "ct")
    assert RIGHT[name].allows(found) and is_same(found, outcome)
    assert {one.kind for one in found.evidence} == {one.kind for one in outcome.evidence}


@pytest.mark.parametrize("name", _OTHERS)
def test_a_ct_that_would_give_wrong_numbers_is_refused_or_marked(name: str, analysing: Analyst, tmp_path: Path) -> None:
    assert RIGHT[name].allows(outcome_of(name, analysing, tmp_path / "ct"))


def test_the_page_has_every_case() -> None:
    written = PAGE.read_text(encoding="utf-8")
    got = {
        line.split(" | ")[0].removeprefix("| "): line.split(" | ")[3].removesuffix(" |")
        for line in written.splitlines()
        if " | " in line
    }
    assert written == text(Row(name, got[name], True) for name in RIGHT)
