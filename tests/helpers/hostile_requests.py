"""The whole API on a database, and requests for all its routes with values that no database or JSON can hold."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from helpers import arrivals, tiny_models
from helpers.logins import ACCESS, ADA
from service.inference.onnx import OnnxBackend
from service.ops.api import SelfReport, create_app
from service.ops.audit_routes import audit_routes
from service.ops.model_routes import model_routes
from service.pipelines.covid_severity.pipeline import CovidSeverity
from service.rollout.acceptance import Acceptance
from service.rollout.model_actions import ModelActions
from service.store.audit import Audit
from service.store.overview import Overview
from service.store.records import Records
from service.store.reviews import Reviews
from service.store.shadows import Shadows
from service.store.spool import Spool
from service.store.study_tables import StudyTables
from service.store.worklist import Worklist
from service.worker.delivery_plans import DeliveryPlans
from service.worker.job_actions import JobActions

NOW = datetime(2026, 3, 2, tzinfo=UTC)
BY = ADA

TEXTS = (
    "", "9" * 400, "-1", "0", "1e400", "-1e400", "nan", "inf", "9e18", str(2**63), str(2**64), "1.5", "true", "null",
    "0001-01-01T00:00:00+14:00", "0001-01-01", "9999-12-31T23:59:59-14:00", "9999-12-31", "1e18", "-1e18",
    "2026-01-01T00:00:00+23:59", "2026-02-30", "a\0b", "\0", "\ud800", "ü" * 5000, "..", "../../etc/passwd", "%s%n",
    "' OR 1=1 --", "\u202e", "\x1b[2J", "\uffff",
)  # fmt: skip
"""In place of any parameter."""

VALUES = (*TEXTS, 0, -1, 2**31, 2**63, 2**64, 10**400, 1.5, float("inf"), float("nan"), True, None, [], {}, [[[]]])
"""In place of any field of a body."""

BODIES = (
    b"", b"null", b"[]", b'"', b"{", b"[" * 50_000, b'{"a":' * 9000, b"\xff\xfe", b"NaN", b"1e400", b"9" * 60_000,
    b'{"verdict": "accepted", "\\ud800": 1}', b'{"verdict": "accepted", "score": 1e400}', b"{" + b" " * 70_000 + b"}",
)  # fmt: skip


def application(engine: sa.Engine, folder: Path) -> tuple[FastAPI, str]:
    """The application on a new database, with tiny models, and the id of its only job."""
    records, tables, audit = Records(engine), StudyTables.on(engine), Audit(engine, lambda: NOW)
    arrivals.keep(Spool(folder), records, arrivals.arrival())
    (job_id,) = arrivals.create_due_jobs(records, NOW, lambda _: 0.0)
    root = tiny_models.repository(folder / "models")
    pipelines = [CovidSeverity()]
    check = Acceptance(pipelines, pipelines, folder / "nowhere", lambda versions: OnnxBackend(root, 1, versions), None)
    models = ModelActions(lambda: root, lambda: root, lambda: check, audit, Shadows(engine))
    plans = DeliveryPlans({}, tables.jobs, tables.deliveries, lambda: NOW)
    jobs = JobActions(tables, Reviews(engine), plans, ["covid-severity"], audit, lambda: NOW)
    report = SelfReport(dict, dict, bytes)
    more = [model_routes(models), audit_routes(audit, lambda _who: None)]
    return create_app("1", Overview(engine), Worklist(engine), jobs, report, more, ACCESS), job_id


def answer_all(app: FastAPI, job_id: str) -> int:
    """Every hostile request; AssertionError for an answer 5xx, or a long one. Returns how many there were."""
    api = TestClient(app, raise_server_exceptions=False)
    sent = 0
    for method, url, how in (*requests(app, job_id), *bodies(app, job_id)):
        answer = api.request(method, url, **how)
        where = f"{method} {url[:200]!r} {str(how)[:200]}"
        assert answer.status_code < 500, f"{where}: {answer.text[:500]}"
        assert len(answer.content) < 50_000, where
        sent += 1
    return sent


def operations(app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def quoted(text: str) -> str:
    return quote(text.encode(errors="surrogatepass"), safe="")


def requests(app: FastAPI, job_id: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each parameter of each operation in turn with each text; the others are sound."""
    known = {"job_id": job_id, "name": "lobes", "version": "2", "share": "0.5"}
    for method, path, operation in operations(app):
        parameters = [one for one in operation.get("parameters", []) if one["in"] != "header"]
        for hostile in parameters or [{"name": ""}]:
            for text in TEXTS:
                url, query = path, []
                for one in parameters:
                    value = quoted(text) if one is hostile else known.get(one["name"])
                    if one["in"] == "path":
                        url = url.replace(f"{{{one['name']}}}", value or job_id)
                    elif value is not None and (one is hostile or one["required"]):
                        query.append(f"{one['name']}={value}")
                yield method, f"{url}?{'&'.join(query)}", {"headers": BY}


def bodies(app: FastAPI, job_id: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each operation that takes a body, with each hostile one, and each field in turn with each value."""
    with_body = [(method, path) for method, path, operation in operations(app) if "requestBody" in operation]
    assert with_body == [("POST", "/api/jobs/{job_id}/review")]
    sound = {"verdict": "overridden"}
    fields = [sound | {name: value} for name in ("verdict", "score", "comment", "x") for value in VALUES]
    named = [sound | {str(value): 1} for value in VALUES]
    for body in (*BODIES, *(json.dumps(one).encode() for one in (*fields, *named))):
        for kind in ("application/json", "text/plain"):
            yield "POST", f"/api/jobs/{job_id}/review", {"content": body, "headers": BY | {"content-type": kind}}
