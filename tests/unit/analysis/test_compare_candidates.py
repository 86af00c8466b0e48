"""Earlier results of which one is damaged, or gone, while it is looked at."""

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest
from helpers.two_visits import (
    FIRST,
    RIGHT,
    RUN,
    SECOND,
    Analyst,
    Comparer,
    Limits,
    Nodules,
    analysed,
    make_ct,
    nodule,
    scan,
    unheard,
    visit,
)

from service.analysis.analyst import Outcome
from service.analysis.priors import PriorFiles, Purged, Wanted

pytestmark = pytest.mark.slow


class Held:
    """Results in folders, the latest acquisition first."""

    def __init__(self, *candidates: AbstractContextManager[PriorFiles]) -> None:
        self.held = candidates

    def candidates(self, _wanted: Wanted) -> Iterator[AbstractContextManager[PriorFiles]]:
        yield from self.held


def files(folder: Path) -> AbstractContextManager[PriorFiles]:
    return nullcontext(PriorFiles({path.name: path for path in folder.iterdir() if path.is_file()}))


@contextmanager
def purged() -> Iterator[PriorFiles]:
    raise Purged("j")
    yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Results: good; damaged, of the same day; damaged, of the day after the present CT. And the present CT."""
    root = tmp_path_factory.mktemp("results")
    analysed(visit(FIRST, nodule(RIGHT, 4.0)), root / "good")
    analysed(visit("20250502", nodule(RIGHT, 9.0)), root / "later")
    shutil.copytree(root / "good", root / "damaged")
    for name in ("damaged", "later"):
        (root / name / "study.sr.dcm").write_bytes(b"x")
    make_ct.write(visit(SECOND, nodule(RIGHT, 8.0)), root / "ct")
    return {name: root / name for name in ("good", "damaged", "later", "ct")}


def compared(folders: dict[str, Path], *candidates: AbstractContextManager[PriorFiles]) -> Outcome:
    comparer = Comparer(Held(*candidates))
    analyst = Analyst(Nodules(), None, Limits(), "0.1.0", comparer=comparer)  # type: ignore[arg-type]
    return analyst.analyse(scan([folders["ct"]]), unheard, {}, RUN)


def test_a_damaged_result_of_a_later_day_and_a_purged_one_are_in_nobodys_way(folders: dict[str, Path]) -> None:
    outcome = compared(folders, files(folders["later"]), purged(), files(folders["good"]))
    assert outcome.document["flags"] == [] and outcome.document["comparison"]["days"] == 365


def test_a_damaged_result_that_may_be_the_latest_earlier_one_is_told(folders: dict[str, Path]) -> None:
    outcome = compared(folders, files(folders["damaged"]), files(folders["good"]))
    assert outcome.document["flags"] == ["PRIOR_UNREADABLE"]
