"""What `thoracle jobs show` prints, and what a refused action of an operator advises instead."""

import json
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers import arrivals, make_ct
from helpers.databases import open_database
from helpers.headlines import scored
from typer.testing import CliRunner

from service.cli import app
from service.domain.delivery import Confirm, ObjectDelivery
from service.domain.delivery_state import Delivered
from service.domain.flags import THICK_SLICES
from service.domain.job import Result, StoredObject
from service.errors import Reason, Refusal
from service.store.deliveries import Deliveries
from service.store.inbox import Inbox
from service.store.jobs import Jobs
from service.store.planning import Plan
from service.store.records import Records
from service.store.spool import Spool

NOW = datetime(2026, 3, 2, tzinfo=UTC)
PACS = {"pacs": {"ae_title": "PACS", "host": "127.0.0.1", "port": 1}}
LOBES = StoredObject("lobes", "1.2", "9.1", "results/none", "0" * 64, style="binary")


@pytest.fixture
def engine(tmp_path: Path) -> sa.Engine:
    """The database of a service with one destination that has received one study, accession number A[1]."""
    config = {"data_dir": str(tmp_path), "destinations": PACS}
    (tmp_path / "thoracle.yaml").write_text(json.dumps(config), encoding="utf-8")
    engine = open_database(tmp_path / "records.db")
    (image,) = make_ct.make(slices=1).datasets
    image.AccessionNumber = "A[1]"
    image.save_as(file := BytesIO(), enforce_file_format=True)
    Inbox(Spool(tmp_path), Records(engine)).take(arrivals.arrival(content=file.getvalue()))
    return engine


@pytest.fixture
def job_id(engine: sa.Engine) -> str:
    """A job that runs."""
    (job_id,) = arrivals.create_due_jobs(Records(engine), NOW, lambda ae: 1.0)
    Jobs(engine).start(job_id, NOW)
    return job_id


def run(folder: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["jobs", *words, "--config", str(folder / "thoracle.yaml")])
    return done.exit_code, " ".join(done.output.split())


def analysed(engine: sa.Engine, job_id: str, confirm: Confirm = Confirm.COMMITMENT) -> None:
    result = Result(series_uid="S.1", headline=scored(7), flags=[THICK_SLICES], objects=[LOBES])
    Jobs(engine).finish(job_id, result, NOW, {"pacs": Plan(["9.1"], confirm)})


def record(engine: sa.Engine, job_id: str, state: Delivered, status: int | None, error: str = "") -> None:
    again_at = NOW + timedelta(hours=1)
    Deliveries(engine).record(job_id, "pacs", [ObjectDelivery("9.1", state, status, error)], NOW, again_at)


def test_a_job_shows_its_study_its_result_and_when_it_is_tried_again(
    tmp_path: Path, engine: sa.Engine, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysed(engine, job_id)
    record(engine, job_id, Delivered.BUILT, 0xA700, "out of resources")
    code, output = run(tmp_path, "show", job_id)
    assert code == 0
    again = f"{(NOW + timedelta(hours=1)).astimezone():%Y-%m-%d %H:%M:%S}"
    for part in (
        "study: S ",
        "accession number: A[1] ",
        "analysed series: S.1 ",
        "urgency: routine",
        "CT severity score, Pan 2020, 0-25: 7/25 moderate, involvement: moderate; no noise floor",
        f"warning THICK_SLICES {THICK_SLICES.sentence}",
        f"next attempt at pacs: {again}",
        "pacs lobes waiting to be sent 0xA700 1 " + again,
        "waiting to be sent 1 objects at pacs: out of resources",
        "analysis started",
    ):
        assert part in output
    assert "built" not in output
    record(engine, job_id, Delivered.STORED, 0xB000)
    assert "pacs lobes stored, not confirmed yet 0xB000 2" in run(tmp_path, "show", job_id)[1]


def test_a_job_shows_with_which_earlier_ct_it_was_compared(tmp_path: Path, engine: sa.Engine, job_id: str) -> None:
    analysed(engine, job_id)
    assert "compared" not in run(tmp_path, "show", job_id)[1]
    folder = tmp_path / "results" / job_id
    folder.mkdir(parents=True)
    found = {"acquired_at": "2023-05-01T10:00:00", "days": 366, "study_uid": "1.2.3"}
    for document, told in (({"comparison": found}, True), ({"status": "analysed"}, False)):
        (folder / "result.json").write_text(json.dumps(document))
        words = "compared with: CT of 2023-05-01, 366 days earlier, study 1.2.3"
        assert (words in run(tmp_path, "show", job_id)[1]) is told


def test_without_files_the_accession_number_is_left_out(tmp_path: Path, engine: sa.Engine, job_id: str) -> None:
    for path in (tmp_path / "spool").rglob("*.dcm"):
        path.write_bytes(b"damaged")
    assert "accession" not in run(tmp_path, "show", job_id)[1]
    for path in (tmp_path / "spool").rglob("*.dcm"):
        path.unlink()
    code, output = run(tmp_path, "show", job_id)
    assert (code, "accession" in output) == (0, False)


@pytest.mark.parametrize(
    ("reached", "tried", "says"),
    [
        ("running", "retry", "is running: only failed and undelivered jobs can be retried. What would work: cancel"),
        ("running", "resend", "is running and has nothing to send. What would work: cancel (stop it)"),
        ("refused", "retry", "What would work: reanalyse (analyse the study again, as a new job)"),
        ("refused", "resend", "is refused and has nothing to send. What would work: reanalyse"),
        ("delivered", "retry", "What would work: resend (send the stored results once more), reanalyse"),
        ("delivered", "cancel", "What would work: resend (send the stored results once more), reanalyse"),
        ("failed", "resend", "has nothing to send. What would work: retry (try it again), cancel (stop it), reanalyse"),
    ],
)
def test_a_refused_action_says_what_would_work(
    tmp_path: Path, engine: sa.Engine, job_id: str, reached: str, tried: str, says: str
) -> None:
    if reached == "refused":
        result = Result(refusals={"S.1": [Refusal(Reason.TOO_FEW, "1 slice")]})
        Jobs(engine).finish(job_id, result, NOW)
    elif reached == "failed":
        Jobs(engine).finish(job_id, Result(error="disk full"), NOW)
    elif reached == "delivered":
        analysed(engine, job_id, Confirm.NONE)
        record(engine, job_id, Delivered.STORED, 0)
    code, output = run(tmp_path, tried, job_id)
    assert code == 1
    assert says in output


def test_a_destination_that_gets_nothing_is_named_beside_those_that_do(
    tmp_path: Path, engine: sa.Engine, job_id: str
) -> None:
    analysed(engine, job_id)
    code, output = run(tmp_path, "resend", job_id, "--to", "archive")
    assert (code, "has nothing for archive; it has something for pacs" in output) == (1, True)
