"""Everything that the service uses of DBOS beyond its public functions. The version is pinned: dbos==3.4.0.

Private things used here, each because DBOS has no public function for it:

    DBOS._recover_pending_workflows([executor])
        Runs the PENDING workflows of a dead executor in this process, and puts those that came from a queue back.
    table workflow_status: columns workflow_uuid, status, priority; schema "dbos" on PostgreSQL, none on SQLite
        Priorities are read and written, and waiting workflows are cancelled only if all of them still wait.

Relied on elsewhere in this package, through public functions:

    status names ENQUEUED, DELAYED, PENDING, CANCELLED, MAX_RECOVERY_ATTEMPTS_EXCEEDED (constants below)
    the lowest priority goes first, and a queue takes priorities from the rows at each poll
    the value that a step returned is stored pickled and given back to the workflow after a kill

What to check at an upgrade of dbos:

1. tests/unit/store/test_dbos_internals.py: the function, the table, its columns and the status names are still there.
2. tests/endtoend/test_flow.py on both databases: takeover after a kill, dead-lettered work, changed priorities, and
   `test_work_queued_by_an_earlier_version_is_done`.
3. The crash matrix (`python -m tests.crash_matrix`).
4. DBOS.migrate() on a database that the version before wrote, with work in flight.
"""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from dbos import DBOS

ENQUEUED, DELAYED, PENDING, CANCELLED = "ENQUEUED", "DELAYED", "PENDING", "CANCELLED"
DEAD = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
"""Status of a workflow whose processes died too often."""

WAITING = (ENQUEUED, DELAYED)
IN_HAND = (*WAITING, PENDING, DEAD)
"""Statuses of a workflow that waits, runs, or is about to be abandoned."""


def take_over(executor: str) -> None:
    """Run, or queue again, what a dead executor had in hand."""
    DBOS._recover_pending_workflows([executor])


class WorkflowRows:
    """The engine's table of workflows."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        schema = "dbos" if engine.dialect.name != "sqlite" else None
        columns = (sa.column("workflow_uuid", sa.Text), sa.column("status", sa.Text), sa.column("priority", sa.Integer))
        self._table = sa.table("workflow_status", *columns, schema=schema)

    def priority(self, workflow_id: str) -> int:
        """Returns the priority of a workflow as it is now: `prioritise` may have changed it since it began."""
        row = sa.select(self._table.c.priority).where(self._table.c.workflow_uuid == workflow_id)
        with self._engine.begin() as connection:
            return int(connection.execute(row).scalar_one())

    def prioritise(self, id_prefixes: Collection[str], priority: int) -> None:
        """Give all workflows that have not ended, and whose ids begin so, another priority."""
        ours = sa.or_(*(self._table.c.workflow_uuid.startswith(prefix) for prefix in id_prefixes))
        unfinished = self._table.c.status.in_((*WAITING, PENDING))
        with self._engine.begin() as connection:
            connection.execute(sa.update(self._table).where(ours, unfinished).values(priority=priority))

    def cancel_waiting(self, workflow_ids: Sequence[str]) -> int:
        """Cancel those of these workflows that still wait; returns how many."""
        still = self._table.c.workflow_uuid.in_(workflow_ids) & self._table.c.status.in_(WAITING)
        with self._engine.begin() as connection:
            return connection.execute(sa.update(self._table).where(still).values(status=CANCELLED)).rowcount
