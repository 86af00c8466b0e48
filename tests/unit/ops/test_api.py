from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from helpers.logins import ACCESS, ADA, as_
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import OperationalError

from service.domain.job import Job
from service.domain.job_state import IllegalTransition, State
from service.domain.review import Review, Verdict
from service.ops.allowed_methods import list_allowed_methods
from service.ops.api import SelfReport, create_app
from service.ops.job_answers import JobWhole, WorklistLine


def row(job_id: str, state: str) -> dict[str, Any]:
    """A job as the records tell of it, without anything beside it."""
    lists = dict.fromkeys(("warnings", "reasons", "objects", "deliveries", "reviews", "journal"), ())
    empty = dict.fromkeys((*JobWhole.model_fields, *WorklistLine.model_fields))
    texts = {"study_uid": "1.2", "pipeline": "p", "urgency": "routine", "error": ""}
    numbers = {"revision": 1, "priority": 1, "number": 1, "reviewed_before": False, "created_at": NOW}
    known = {"job_id": job_id, "state": state, "flags": [], "timings_s": {}}
    return empty | {name: list(value) for name, value in lists.items()} | texts | numbers | known


NOW = datetime(2026, 3, 2, tzinfo=UTC)
ROWS = [row("b", "delivered"), row("a", "refused")]


class Records:
    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def list_jobs(self, **filters: Any) -> Sequence[Mapping[str, Any]]:
        self.asked = filters
        return [r for r in ROWS if filters["state"] in (None, r["state"])]

    def job(self, job_id: str) -> Mapping[str, Any] | None:
        return next((r for r in ROWS if r["job_id"] == job_id), None)


class Worklist:
    def entries(self, limit: int, offset: int) -> Sequence[Mapping[str, Any]]:
        return ROWS[offset : offset + limit]


class JobActions:
    """Knows one job, which it can do nothing with but send it again."""

    def retry(self, job_id: str, by: str) -> Job:
        raise IllegalTransition("only failed and undelivered jobs can be retried")

    cancel = reanalyse = retry

    def resend(self, job_id: str, by: str, destinations: Sequence[str] = ()) -> Job:
        if job_id != "a":
            raise LookupError(f"there is no job {job_id}")
        now = datetime(2026, 3, 2, tzinfo=UTC)
        return Job(f"{job_id} {by} {','.join(destinations)}", "1.2", 1, None, State.DELIVERING, now, None)

    def review(self, job_id: str, by: str, verdict: Verdict, score: int | None = None, comment: str = "") -> Job:
        now = datetime(2026, 3, 2, tzinfo=UTC)
        said = Review(verdict, by, now, score, comment)
        said.check(25)
        return Job(f"{job_id} {said.verdict} {said.score}", "1.2", 1, None, State.DELIVERED, now, None)


def client(records: Records, healthy: str = "ok", ready: str = "ok") -> TestClient:
    return TestClient(
        create_app(
            "1.0",
            records,
            Worklist(),
            JobActions(),
            SelfReport(
                lambda: {"database": healthy},
                lambda: {"database": "ok", "worker": ready},
                lambda: b"thoracle_jobs 1\n",
            ),
            access=ACCESS,
        ),
        headers=ADA,
    )


def test_health_and_readiness_name_what_is_wrong() -> None:
    api = client(Records(), ready="no worker process is running")
    assert api.get("/healthz").status_code == 200
    answer = api.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["components"] == {"database": "ok", "worker": "no worker process is running"}


def test_a_warning_is_shown_and_the_service_is_ready() -> None:
    answer = client(Records(), ready="warning: 3.0 GB are free").get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")


def test_a_database_that_fails_is_said_so_and_not_a_traceback() -> None:
    class Failing(Records):
        def job(self, job_id: str) -> Mapping[str, Any] | None:
            raise OperationalError("SELECT", {}, Exception("patient"))

    answer = client(Failing()).get("/api/jobs/a")
    assert (answer.status_code, answer.json()["detail"]) == (503, "the database fails; /readyz tells more")


def test_jobs_are_filtered_and_an_unknown_state_is_an_error_that_lists_the_states() -> None:
    records = Records()
    api = client(records)
    assert [j["job_id"] for j in api.get("/api/jobs").json()["jobs"]] == ["b", "a"]
    url = "/api/jobs?state=refused&study_uid=1.2&since=2026-01-02T03:04:05&order=priority&limit=5&offset=2"
    assert [j["job_id"] for j in api.get(url).json()["jobs"]] == ["a"]
    assert records.asked == {
        "state": "refused", "study_uid": "1.2", "since": datetime(2026, 1, 2, 3, 4, 5), "by_priority": True, "limit": 5,
        "offset": 2,
    }  # fmt: skip
    answer = api.get("/api/jobs?state=lost")
    assert answer.status_code == 422
    assert "'delivered'" in answer.json()["detail"][0]["msg"]


def test_the_worklist_keeps_the_order_of_the_records() -> None:
    api = client(Records())
    assert [study["job_id"] for study in api.get("/api/worklist").json()["studies"]] == ["b", "a"]
    assert api.get("/api/worklist?limit=1&offset=1").json()["studies"][0]["job_id"] == "a"


def test_one_job_or_a_clear_404() -> None:
    api = client(Records())
    assert api.get("/api/jobs/a").json()["state"] == "refused"
    assert api.get("/api/jobs/zzz").status_code == 404


def test_metrics_are_text() -> None:
    answer = client(Records()).get("/metrics")
    assert answer.text == "thoracle_jobs 1\n"
    assert answer.headers["content-type"].startswith("text/plain")


def test_an_operator_acts_under_a_name_and_is_told_why_not() -> None:
    api = client(Records())
    url = "/api/jobs/a/resend?to=pacs&to=archive"
    assert api.post(url, headers=as_("nobody")).status_code == 401
    assert api.post(url, headers=as_("reviewer")).status_code == 403
    kim = as_("operator")
    assert api.post(url, headers=kim).json() == {"job_id": "a operator (token) pacs,archive", "state": "delivering"}
    assert api.post("/api/jobs/b/resend", headers=kim).status_code == 404
    for action in ("retry", "cancel", "reanalyse"):
        answer = api.post(f"/api/jobs/a/{action}", headers=kim)
        assert (answer.status_code, "only failed" in answer.json()["detail"]) == (409, True)


def test_a_radiologists_word_is_taken_and_what_is_none_is_refused() -> None:
    api, by = client(Records()), as_("reviewer")

    def say(**said: object) -> tuple[int, object]:
        answer = api.post("/api/jobs/a/review", json=said, headers=by)
        return answer.status_code, answer.json().get("job_id")

    assert say(verdict="accepted") == (200, "a accepted None")
    assert say(verdict="overridden", score=4) == (200, "a overridden 4")
    assert say(verdict="fine")[0] == 422
    for impossible in ({"verdict": "overridden", "score": 26}, {"verdict": "accepted", "score": 4}):
        assert say(**impossible)[0] == 409
    for other in ("operator", "admin"):
        answer = api.post("/api/jobs/a/review", json={"verdict": "accepted"}, headers=as_(other))
        assert answer.status_code == 403, "a review is a radiologist's"


def test_an_api_that_answers_is_alive_though_its_database_is_not() -> None:
    assert client(Records(), healthy="away", ready="away").get("/livez").status_code == 200


def test_the_openapi_document_tells_of_every_answer() -> None:
    paths = client(Records()).get("/openapi.json").json()["paths"]
    assert paths["/api/jobs/{job_id}/retry"]["post"]["responses"].keys() >= {
        "200",
        "400",
        "401",
        "403",
        "404",
        "409",
        "413",
        "422",
        "429",
        "503",
    }
    assert paths["/api/jobs/{job_id}"]["get"]["responses"].keys() >= {"200", "404", "422", "503"}
    assert paths["/readyz"]["get"]["responses"].keys() >= {"200", "503"}
    assert list(paths["/metrics"]["get"]["responses"]["200"]["content"]) == [CONTENT_TYPE_LATEST]
    (state,) = (one for one in paths["/api/jobs"]["get"]["parameters"] if one["name"] == "state")
    assert "#/components/schemas/State" in str(state["schema"])


def test_a_number_is_no_time() -> None:
    answer = client(Records()).get("/api/jobs?since=0.5")
    assert (answer.status_code, "ISO 8601" in answer.json()["detail"][0]["msg"]) == (422, True)


def test_allow_lists_every_method_of_a_path() -> None:
    app = FastAPI()
    app.add_api_route("/thing", lambda: None, methods=["GET"])
    app.add_api_route("/thing", lambda: None, methods=["POST"])
    list_allowed_methods(app)
    answer = TestClient(app).delete("/thing")
    assert (answer.status_code, answer.headers["Allow"], answer.json()) == (
        405,
        "GET, POST",
        {"detail": "Method Not Allowed"},
    )
