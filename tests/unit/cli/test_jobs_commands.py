"""`thoracle jobs` on a real database."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers import arrivals
from helpers.databases import open_database
from helpers.headlines import scored
from typer.testing import CliRunner

from service.cli import app
from service.cli.worklist_view import age_in_words
from service.domain.job import Result
from service.domain.job_state import State
from service.store import tables
from service.store.inbox import Inbox
from service.store.jobs import Jobs
from service.store.records import Records
from service.store.spool import Spool

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def site(folder: Path) -> tuple[Path, sa.Engine, str]:
    """The configuration of a service with one job that runs, its database, and the job."""
    config = folder / "thoracle.yaml"
    config.write_text(json.dumps({"data_dir": str(folder)}))
    engine = open_database(folder / "records.db")
    records, jobs = Records(engine), Jobs(engine)
    Inbox(Spool(folder), records).take(arrivals.arrival())
    (job_id,) = arrivals.create_due_jobs(records, NOW, lambda ae: 1.0)
    jobs.start(job_id, NOW)
    return config, engine, job_id


@pytest.mark.slow
def test_an_operator_sees_and_does_what_can_be_done_and_is_told_what_cannot(tmp_path: Path) -> None:
    config, engine, job_id = site(tmp_path)
    jobs = Jobs(engine)
    jobs.finish(job_id, Result(error="disk full"), NOW)

    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["jobs", *words, "--config", str(config)])
        return result.exit_code, " ".join(result.output.split())

    assert run("retry", job_id) == (0, f"job {job_id} is queued")
    assert jobs.get(job_id).state is State.QUEUED
    code, output = run("retry", job_id)
    assert (code, "only failed and undelivered jobs" in output) == (1, True)
    for action in ("retry", "cancel", "resend", "reanalyse", "show"):
        code, output = run(action, "nonsense")
        assert (code, "there is no job nonsense" in output) == (1, True)
    code, output = run("resend", job_id)
    assert (code, "has nothing to send" in output) == (1, True)
    code, output = run("reanalyse", job_id)
    assert (code, "its analysis is not done" in output) == (1, True)
    assert run("cancel", job_id) == (0, f"job {job_id} is cancelled")
    code, output = run("show", job_id)
    assert code == 0
    for step in (
        "first image of a series",
        "revision 1",
        "analysis failed",
        "disk full",
        "analysed again by ",
        "cancelled by ",
    ):
        assert step in output
    code, output = run("reanalyse", job_id)
    assert (code, "is created" in output) == (0, True)
    code, output = run("list")
    assert (code, job_id in output, "created" in output) == (0, True, True)
    assert run("list", "--state", "delivered") == (0, "There are no such jobs.")
    code, output = run("review", job_id, "--verdict", "accepted")
    assert (code, "has no result" in output) == (1, True)
    with engine.begin() as connection:
        connection.execute(sa.update(tables.jobs).values(series_uid="1.2", headline=scored(7)))
    code, output = run("review", job_id, "--verdict", "overridden", "--score", "26")
    assert (code, "outside 0-25" in output) == (1, True)
    assert run("review", job_id, "--verdict", "overridden", "--score", "4", "--comment", "[too] high")[0] == 0
    code, output = run("show", job_id)
    assert (code, "overridden by " in output, ", score 4 [too] high" in output) == (0, True, True)
    with engine.begin() as connection:
        connection.execute(sa.update(tables.jobs).values(purged_at=datetime(2026, 3, 9, tzinfo=UTC)))
    code, output = run("show", job_id)
    assert (code, "images and results were purged on 2026-03-0" in output) == (0, True)
    code, output = run("reanalyse", job_id)
    assert (code, "send the study again" in output) == (1, True)


def test_what_others_wrote_is_shown_as_it_is(tmp_path: Path) -> None:
    """In brackets, it is no command to the terminal, and not left out."""
    config, engine, job_id = site(tmp_path)
    error = "write [errno 28] to [/x] failed"
    Jobs(engine).finish(job_id, Result(error=error), NOW)
    with engine.begin() as connection:
        connection.execute(sa.update(tables.jobs).values(series_uid="1.2"))
    for words in (["show", job_id], ["list"], ["review", "[/x] [28]", "--verdict", "accepted"]):
        done = CliRunner().invoke(app, ["jobs", *words, "--config", str(config)])
        assert (error if done.exit_code == 0 else "there is no job [/x] [28]") in " ".join(done.output.split())
    comment = ["review", job_id, "--verdict", "accepted", "--comment", "x" * 2001]
    done = CliRunner().invoke(app, ["jobs", *comment, "--config", str(config)])
    assert (done.exit_code, "2000 at most are kept" in done.output) == (1, True)


def test_a_database_that_fails_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THORACLE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("THORACLE_DATABASE_URL", "postgresql+psycopg://thoracle:secret@127.0.0.1:1/thoracle")
    for words in (["list"], ["show", "1"], ["retry", "1"]):
        done = CliRunner().invoke(app, ["jobs", *words])
        assert (done.exit_code, done.output.startswith("Failed: the database fails")) == (1, True)
        assert "secret" not in done.output


def test_a_job_says_which_models_analysed_it_and_which_was_a_candidate(tmp_path: Path) -> None:
    config, engine, job_id = site(tmp_path)
    jobs = Jobs(engine)
    used = [
        {"name": "lung-opacity", "version": "2", "sha256": "a" * 64, "candidate": False},
        {"name": "lobes", "version": "3", "sha256": "b" * 64, "candidate": True},
    ]
    jobs.finish(job_id, Result(series_uid="1.2", headline=scored(3), models=used), NOW)
    said = [
        CliRunner().invoke(app, ["jobs", *words, "--config", str(config)]) for words in (["show", job_id], ["list"])
    ]
    shown, listed = (" ".join(one.output.split()) for one in said)
    assert f"model lobes version 3 candidate, sha256 {'b' * 64}" in shown
    assert f"model lung-opacity version 2, sha256 {'a' * 64}" in shown
    assert "3/25 mild" in listed
    assert "lobes 3" in listed and "lung-opacity" not in listed


def test_a_user_without_a_name_is_a_number_in_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under any user id."""

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("service.cli.options.getuser", nameless)
    monkeypatch.setattr("os.getuid", lambda: 12345)
    config, _, job_id = site(tmp_path)
    assert CliRunner().invoke(app, ["jobs", "cancel", job_id, "--config", str(config)]).exit_code == 0
    assert "by user 12345@" in CliRunner().invoke(app, ["jobs", "show", job_id, "-c", str(config)]).output


def test_the_worklist_shows_rank_age_and_result_until_somebody_reviews_it(tmp_path: Path) -> None:
    config, engine, job_id = site(tmp_path)

    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["jobs", *words, "--config", str(config)])
        return result.exit_code, " ".join(result.output.split())

    assert run("list", "--worklist") == (0, "There are no studies to be read.")
    Jobs(engine).finish(job_id, Result(series_uid="1.2", headline=scored(9), rank=0.256), NOW)
    code, output = run("list", "--worklist")
    assert (code, f"{job_id} covid-severity 0.26 routine" in output, "none" in output) == (0, True, True)
    assert "9/25" in output and scored(9)["name"] in output
    assert run("list", "--worklist", "--state", "failed")[0] == 2
    assert run("review", job_id, "--verdict", "accepted")[0] == 0
    assert run("list", "--worklist") == (0, "There are no studies to be read.")
    code, output = run("list", "--queue")
    assert (code, job_id in output) == (0, True)


@pytest.mark.parametrize(
    ("minutes", "words"), [(-3, "0 min"), (0, "0 min"), (59, "59 min"), (60, "1 h"), (2879, "47 h"), (2880, "2 d")]
)
def test_an_age_is_told_in_one_unit(minutes: int, words: str) -> None:
    assert age_in_words(timedelta(minutes=minutes)) == words
