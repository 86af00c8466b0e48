"""Models over HTTP: what was done is answered with the difference, what was refused in words."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from helpers.logins import ADA, AUTHENTICATION, as_

from service.domain.serving import Candidate, NoSuchModel, Served
from service.errors import Permanent, Transient
from service.imaging.difference import Difference, LabelDifference
from service.ops.audit_routes import audit_routes
from service.ops.model_routes import model_routes
from service.rollout.model_actions import Changed

BY = ADA
_INSTALLED = {"sha256": "a" * 64, "source": "", "licence": "MIT", "share": None, "shadow": None}
_SHADOW = {"state": "compared", "at": datetime(2026, 3, 2, tzinfo=UTC), "document": None, "error": ""}
_ENTRY = {"entry": 1, "what": "rollback", "outcome": "done", "detail": {}}
DIFFERENCE = Difference({"lobes": LabelDifference(0.9, 1.0, 2.0)}, "Score", (3, 4), {}, {"opacity_percent": (1.0, 2.0)})


class JobActions:
    """Knows the model lobes."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def installed(self) -> Sequence[Mapping[str, Any]]:
        return [{"name": "lobes", "version": "1", "state": "active", **_INSTALLED}]

    def canary(self, name: str, version: str, share: float, by: str) -> Changed:
        self.asked.append(("canary", name, version, share, by))
        return Changed(Served("1", None, Candidate(version, share)), DIFFERENCE)

    def shadow(self, name: str, version: str, by: str) -> Changed:
        raise Transient("Triton is away.")

    def promote(self, name: str, version: str | None, by: str) -> Changed:
        raise Permanent("It is all black.")

    def rollback(self, name: str, by: str) -> Changed:
        self.asked.append(("rollback", name, by))
        return Changed(Served("1"))

    def withdraw(self, name: str, by: str) -> Changed:
        raise NoSuchModel(f"There is no model {name}.")

    def compared(self, name: str, version: str | None = None, limit: int = 1000) -> Sequence[Mapping[str, Any]]:
        return [{"job_id": "j", "model": name, "version": version, "results": f"of {limit}", **_SHADOW}]


class Trail:
    def entries(
        self, subject: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> Sequence[Mapping[str, Any]]:
        return [{"who": "ada", "subject": subject, "at": since, "id": limit, **_ENTRY}]


@pytest.fixture
def operator() -> JobActions:
    return JobActions()


@pytest.fixture
def readers() -> list[str]:
    return []


@pytest.fixture
def api(operator: JobActions, readers: list[str]) -> TestClient:
    app = FastAPI()
    app.state.authentication = AUTHENTICATION
    app.include_router(model_routes(operator))
    app.include_router(audit_routes(Trail(), readers.append))
    return TestClient(app)


def test_a_trial_is_answered_with_what_is_served_and_the_difference(api: TestClient, operator: JobActions) -> None:
    answer = api.post("/api/models/lobes/canary?version=2&share=0.1", headers=BY)
    assert answer.status_code == 200
    assert operator.asked == [("canary", "lobes", "2", 0.1, "ada (token)")]
    found = answer.json()
    assert (found["active"], found["candidate"]) == ("1", {"version": "2", "share": 0.1, "shadow": False})
    assert found["difference"]["headline_change"] == 1


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("lobes/promote", 409, "It is all black."),
        ("lobe/withdraw", 404, "There is no model lobe."),
        ("lobes/shadow?version=2", 503, "Triton is away."),
    ],
)
def test_a_refusal_is_said_in_words(api: TestClient, path: str, status: int, said: str) -> None:
    answer = api.post(f"/api/models/{path}", headers=BY)
    assert (answer.status_code, answer.json()["detail"]) == (status, said)


@pytest.mark.parametrize("share", ["0", "1.5", "nan", "much"])
def test_a_share_is_above_0_and_at_most_1(api: TestClient, operator: JobActions, share: str) -> None:
    assert api.post(f"/api/models/lobes/canary?version=2&share={share}", headers=BY).status_code == 422
    assert operator.asked == []


def test_nobody_changes_anything_without_a_name(api: TestClient, operator: JobActions) -> None:
    assert api.post("/api/models/lobes/rollback").status_code == 401
    assert api.post("/api/models/lobes/rollback", headers=as_("operator")).status_code == 403
    assert operator.asked == []
    assert api.post("/api/models/lobes/rollback", headers=BY).json()["difference"] is None
    assert operator.asked == [("rollback", "lobes", "ada (token)")]


def test_models_differences_and_the_audit_trail_can_be_read(api: TestClient, readers: list[str]) -> None:
    assert api.get("/api/models", headers=as_("viewer")).json()["models"][0]["state"] == "active"
    url = "/api/models/lobes/shadow?version=2&limit=5"
    (study,) = api.get(url, headers=as_("viewer")).json()["studies"]
    assert (study["version"], study["results"]) == ("2", "of 5")
    url = "/api/audit?subject=lobes&since=2026-03-02T00:00:00Z&limit=5"
    assert api.get(url, headers=as_("operator")).status_code == 403
    assert readers == []
    (entry,) = api.get(url, headers=as_("admin")).json()["entries"]
    assert (entry["subject"], entry["id"], readers) == ("lobes", 5, ["admin (token)"])
    assert datetime.fromisoformat(entry["at"]) == datetime(2026, 3, 2, tzinfo=UTC)
