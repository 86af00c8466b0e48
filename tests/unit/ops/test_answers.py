"""Answers tell what the tables hold: no column is lost by accident, none is shown by accident."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from helpers.databases import open_database
from helpers.hostile_requests import application
from helpers.logins import ADA
from pydantic import BaseModel

from service.ops import job_answers, model_answers
from service.store import tables

TOLD: dict[type[BaseModel], tuple[sa.Table, set[str], set[str]]] = {
    job_answers.JobLine: (tables.jobs, {"patient"}, {"latency_s"}),
    job_answers.RefusedSeries: (tables.refusals, {"job_id", "position"}, {"sentence"}),
    job_answers.ResultObject: (tables.evidence, {"job_id", "position"}, set()),
    job_answers.DeliveryLine: (tables.deliveries, {"job_id"}, {"words"}),
    job_answers.ReviewLine: (tables.reviews, {"id", "job_id"}, set()),
    job_answers.JournalLine: (tables.events, {"id", "study_uid"}, {"words"}),
    model_answers.ShadowAnalysis: (tables.shadows, set(), set()),
    model_answers.AuditEntry: (tables.audit, {"digest"}, set()),
}
"""By answer: its table, the columns that it does not show, and what it tells beside them."""


@pytest.mark.parametrize("answer", TOLD, ids=lambda one: one.__name__)
def test_an_answer_has_the_columns_of_its_table(answer: type[BaseModel]) -> None:
    table, hidden, more = TOLD[answer]
    assert {column.name for column in table.c} - hidden | more == set(answer.model_fields)


def test_what_may_be_null_in_the_database_may_be_null_in_the_answer() -> None:
    for answer, (table, hidden, _) in TOLD.items():
        for column in table.c:
            if column.name not in hidden and column.nullable:
                field = answer.model_fields[column.name]
                assert type(None) in getattr(field.annotation, "__args__", ()), f"{answer.__name__}.{column.name}"


def test_a_job_of_the_database_is_told_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "records.db")
    app, job_id = application(engine, tmp_path)
    headline = {"name": "Score", "value": 3, "max": 25, "unit": "{score}", "category": None, "words": "", "remark": ""}
    with engine.begin() as connection:
        values = {"headline": headline, "flags": [{"code": "F", "warning": "a warning"}], "series_uid": "1.2.3"}
        connection.execute(sa.update(tables.jobs).values(**values))
    api = TestClient(app, headers=ADA)
    assert api.post(f"/api/jobs/{job_id}/review", json={"verdict": "accepted"}).status_code == 200
    job = api.get(f"/api/jobs/{job_id}").json()
    assert (job["headline"], job["flags"], job["warnings"]) == (headline, ["F"], ["a warning"])
    assert (job["reviews"][0]["by_whom"], job["journal"][-1]["step"]) == ("ada (token)", "review")
    (line,) = api.get("/api/jobs").json()["jobs"]
    assert line["created_at"].endswith("+00:00")
    assert line == {name: job[name] for name in line}
    assert api.get("/api/models").json()["models"][0].keys() == model_answers.InstalledModel.model_fields.keys()
    (entry,) = api.get("/api/audit").json()["entries"]
    assert (entry["who"], entry["subject"]) == ("ada (token)", job_id)
