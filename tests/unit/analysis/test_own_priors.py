"""This service's own earlier results: their files, and what reviewers said of them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers import evidence_samples
from helpers.databases import open_database
from helpers.nodules import Nodules

from service.analysis.own_priors import OwnPriors
from service.analysis.priors import Purged, Wanted
from service.domain.job import StoredObject
from service.domain.prior import Patient
from service.errors import Transient
from service.store.prior_jobs import PriorJob, PriorJobs
from service.store.spool import Spool

NOW = datetime(2025, 5, 1, 10)


class Jobs:
    """Stands for the tables, with one job."""

    def __init__(self, verdict: str | None = None, score: float | None = None) -> None:
        paths = {"study": "study.sr.dcm", "nodules": "nodules.seg.dcm", "report-dicom": "report.pdf.dcm"}
        objects = [StoredObject(kind, "1", "2", f"results/j/{name}", "0") for kind, name in paths.items()]
        self.job = PriorJob("j", objects, verdict, score)

    def find(self, *_: object) -> list[PriorJob]:
        return [self.job]

    purged = False

    def is_purged(self, _job_id: str) -> bool:
        return self.purged


def wanted() -> Wanted:
    _, analysis = evidence_samples.phantom()
    return Wanted(Patient("1", "", "", "", ""), "1.2", Nodules(), analysis, NOW, NOW.replace(tzinfo=UTC))


def spool(folder: Path) -> Spool:
    made = Spool(folder)
    made.save_results("j", dict.fromkeys(("result.json", "study.sr.dcm", "nodules.seg.dcm", "report.pdf.dcm"), b"x"))
    return made


def test_what_a_comparison_reads_is_there_and_no_more(tmp_path: Path) -> None:
    (candidate,) = OwnPriors(Jobs(), spool(tmp_path)).candidates(wanted())  # type: ignore[arg-type]
    with candidate as held:
        assert sorted(held.files) == ["nodules.seg.dcm", "result.json", "study.sr.dcm"]
        assert all(path.read_bytes() == b"x" for path in held.files.values()) and held.remarks == ()


@pytest.mark.parametrize(
    ("verdict", "score", "remarks"),
    [
        ("accepted", None, ()),
        ("overridden", None, ("A reviewer has overridden the earlier headline.",)),
        ("overridden", 12, ("A reviewer has overridden the earlier headline: 12 in its place.",)),
    ],
)
def test_a_result_that_a_reviewer_has_overridden_is_said_to_be(
    tmp_path: Path, verdict: str, score: float | None, remarks: tuple[str, ...]
) -> None:
    (candidate,) = OwnPriors(Jobs(verdict, score), spool(tmp_path)).candidates(wanted())  # type: ignore[arg-type]
    with candidate as held:
        assert held.remarks == remarks
        assert held.overridden == ("" if not remarks else "overridden by a reviewer" + (": 12" if score else ""))


@pytest.mark.parametrize(("purged", "error"), [(True, Purged), (False, FileNotFoundError)])
def test_a_result_that_was_purged_meanwhile_is_not_a_damaged_one(
    tmp_path: Path, purged: bool, error: type[Exception]
) -> None:
    jobs = Jobs()
    jobs.purged = purged
    (candidate,) = OwnPriors(jobs, Spool(tmp_path)).candidates(wanted())  # type: ignore[arg-type]
    with pytest.raises(error), candidate:
        raise FileNotFoundError


def test_a_database_that_does_not_answer_is_tried_again(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "records.db")
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE reviews"))
        connection.execute(sa.text("DROP TABLE jobs"))
    with pytest.raises(Transient):
        list(OwnPriors(PriorJobs(engine), Spool(tmp_path)).candidates(wanted()))
