"""The private parts of DBOS that the service uses are still what it takes them for."""

from pathlib import Path

import dbos
import pytest
import sqlalchemy as sa
from dbos import DBOS, WorkflowStatusString
from dbos._schemas.system_database import SystemSchema

from service.store.durable_engine import dbos_internals
from service.store.durable_engine.dbos_internals import WorkflowRows

STATES = {"study:a:1": "ENQUEUED", "study:a:2": "DELAYED", "delivery:a:pacs:1": "PENDING", "study:ab:1": "ENQUEUED"}
ENDED = {"delivery:a:pacs:2": "SUCCESS"}


@pytest.fixture
def engine(tmp_path: Path) -> sa.Engine:
    """An empty database of the engine, as DBOS makes it, with a few rows."""
    url = f"sqlite:///{tmp_path / 'flow.db'}"
    DBOS.migrate(url)
    engine = sa.create_engine(url)
    rows = [{"uid": uid, "status": status, "now": 0, "priority": 5} for uid, status in (STATES | ENDED).items()]
    insert = "INSERT INTO workflow_status (workflow_uuid, status, created_at, updated_at, priority)"
    with engine.begin() as connection:
        connection.execute(sa.text(f"{insert} VALUES (:uid, :status, :now, :now, :priority)"), rows)
    return engine


def test_takeover_calls_a_function_that_dbos_still_has(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    original = DBOS._recover_pending_workflows
    monkeypatch.setattr(DBOS, original.__name__, called.append)
    dbos_internals.take_over("worker-1")
    assert called == [["worker-1"]]


def test_the_table_and_its_columns_are_those_of_dbos() -> None:
    table = SystemSchema.workflow_status
    assert table.name == "workflow_status"
    types = {name: type(table.c[name].type) for name in ("workflow_uuid", "status", "priority")}
    assert types == {"workflow_uuid": sa.Text, "status": sa.Text, "priority": sa.Integer}


@pytest.mark.parametrize("name", ["ENQUEUED", "DELAYED", "PENDING", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"])
def test_every_status_is_one_of_dbos(name: str) -> None:
    assert WorkflowStatusString[name].value == name
    assert name in {*dbos_internals.IN_HAND, dbos_internals.CANCELLED}


def test_the_notes_name_the_version_that_is_installed() -> None:
    from importlib.metadata import version

    assert dbos.DBOS is DBOS
    assert f"dbos=={version('dbos')}" in str(dbos_internals.__doc__)


def test_a_new_priority_reaches_what_has_not_ended_and_no_other_job(engine: sa.Engine) -> None:
    rows = WorkflowRows(engine)
    rows.prioritise(("study:a:", "delivery:a:"), 3)
    priorities = {uid: rows.priority(uid) for uid in STATES | ENDED}
    assert priorities == {**dict.fromkeys(STATES, 3), "study:ab:1": 5, "delivery:a:pacs:2": 5}


def test_only_what_waits_is_cancelled(engine: sa.Engine) -> None:
    assert WorkflowRows(engine).cancel_waiting(["study:a:1", "study:a:2", "delivery:a:pacs:1"]) == 2
    with engine.begin() as connection:
        states = dict(connection.execute(sa.text("SELECT workflow_uuid, status FROM workflow_status")).all())
    assert states == STATES | ENDED | {"study:a:1": "CANCELLED", "study:a:2": "CANCELLED"}
