"""`thoracle retry` on a real database."""

import json
from datetime import UTC, datetime
from pathlib import Path

import arrivals
from typer.testing import CliRunner

from service.cli import app
from service.domain.job import Event, Result, State
from service.store.engine import sqlite_engine
from service.store.inbox import Inbox
from service.store.jobs import Jobs
from service.store.migrations import upgrade
from service.store.records import Records
from service.store.spool import Spool

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_a_failed_job_is_reopened_and_any_other_refused_in_words(tmp_path: Path) -> None:
    config = tmp_path / "thoracle.yaml"
    config.write_text(json.dumps({"data_dir": str(tmp_path)}))
    engine = sqlite_engine(tmp_path / "records.db")
    upgrade(engine)
    records, jobs = Records(engine), Jobs(engine)
    Inbox(Spool(tmp_path), records).take(arrivals.arrival())
    (job_id,) = records.create_due_jobs(NOW, lambda ae: 1.0)
    jobs.start(job_id, NOW)
    jobs.finish(job_id, Event.FAIL, Result(error="disk full"), NOW)

    def retry(name: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["retry", name, "--config", str(config)])
        return result.exit_code, " ".join(result.output.split())

    assert retry(job_id) == (0, f"job {job_id} is queued")
    assert jobs.get(job_id).state is State.QUEUED
    code, output = retry(job_id)
    assert (code, "only failed and undelivered jobs" in output) == (1, True)
    code, output = retry("nonsense")
    assert (code, "there is no job nonsense" in output) == (1, True)
