"""Models over HTTP: what was done is answered with the difference, what was refused in words."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.domain.serving import Candidate, NoSuchModel, Served
from service.errors import Permanent, Transient
from service.imaging.difference import Difference, LabelDifference
from service.ops.model_routes import model_routes
from service.rollout.model_actions import Changed

BY = {"X-Thoracle-Operator": "ada"}
DIFFERENCE = Difference({"lobes": LabelDifference(0.9, 1.0, 2.0)}, "Score", (3, 4), {}, {"opacity_percent": (1.0, 2.0)})


class JobActions:
    """Knows the model lobes."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def installed(self) -> Sequence[Mapping[str, Any]]:
        return [{"name": "lobes", "version": "1", "state": "active"}]

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
        return [{"job_id": "j", "model": name, "version": version, "limit": limit}]


class Trail:
    def entries(
        self, subject: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> Sequence[Mapping[str, Any]]:
        return [{"who": "ada", "subject": subject, "at": since, "limit": limit}]


@pytest.fixture
def operator() -> JobActions:
    return JobActions()


@pytest.fixture
def api(operator: JobActions) -> TestClient:
    app = FastAPI()
    app.include_router(model_routes(operator, Trail()))
    return TestClient(app)


def test_a_trial_is_answered_with_what_is_served_and_the_difference(api: TestClient, operator: JobActions) -> None:
    answer = api.post("/api/models/lobes/canary?version=2&share=0.1", headers=BY)
    assert answer.status_code == 200
    assert operator.asked == [("canary", "lobes", "2", 0.1, "ada")]
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
    assert api.post("/api/models/lobes/rollback").status_code == 422
    assert operator.asked == []
    assert api.post("/api/models/lobes/rollback", headers=BY).json()["difference"] is None
    assert operator.asked == [("rollback", "lobes", "ada")]


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("Müller".encode(), "Müller"),
        ("Müller".encode("latin-1"), "Müller"),
        ("Дарья".encode(), "Дарья"),
        (("ü" * 64).encode(), "ü" * 64),
        (b"ada", "ada"),
    ],
)
def test_a_name_arrives_as_it_was_written(api: TestClient, operator: JobActions, sent: bytes, name: str) -> None:
    assert api.post("/api/models/lobes/rollback", headers={b"X-Thoracle-Operator": sent}).status_code == 200
    assert operator.asked == [("rollback", "lobes", name)]


def test_models_differences_and_the_audit_trail_can_be_read(api: TestClient) -> None:
    assert api.get("/api/models").json()["models"][0]["state"] == "active"
    (study,) = api.get("/api/models/lobes/shadow?version=2&limit=5").json()["studies"]
    assert (study["version"], study["limit"]) == ("2", 5)
    (entry,) = api.get("/api/audit?subject=lobes&since=2026-03-02T00:00:00Z&limit=5").json()["entries"]
    assert (entry["subject"], entry["limit"]) == ("lobes", 5)
    assert datetime.fromisoformat(entry["at"]) == datetime(2026, 3, 2, tzinfo=UTC)
