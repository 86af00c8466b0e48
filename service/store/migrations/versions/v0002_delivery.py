"""Deliveries that are confirmed, routing facts, styles of evidence, priorities, the journal."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_RENAMED = {"pending": "built", "failed": "refused"}


def upgrade() -> None:
    op.add_column("jobs", sa.Column("facts", sa.JSON(), comment="what routing rules look at"))
    _add_priorities()
    op.add_column("evidence", sa.Column("style", sa.Text(), comment="for which destinations; NULL: for all"))
    op.add_column("evidence", sa.Column("series_uid", sa.Text(), comment="of the object"))
    confirm = sa.Column(
        "confirm",
        sa.String(16),
        nullable=False,
        server_default="none",
        comment="what makes it delivered beyond being stored",
    )
    with op.batch_alter_table("deliveries") as table:
        table.add_column(confirm)
        table.add_column(sa.Column("planned_at", sa.DateTime(), comment="or an operator wanted it again"))
        table.add_column(sa.Column("committed_at", sa.DateTime()))
        table.alter_column("delivered_at", new_column_name="stored_at")
        table.alter_column("status", existing_type=sa.Integer(), comment="of the latest response")
    deliveries = sa.table("deliveries", sa.column("state"), sa.column("job_id"), sa.column("planned_at"))
    jobs = sa.table("jobs", sa.column("job_id"), sa.column("created_at"))
    created = sa.select(jobs.c.created_at).where(jobs.c.job_id == deliveries.c.job_id).scalar_subquery()
    op.execute(sa.update(deliveries).values(planned_at=created))
    with op.batch_alter_table("deliveries") as table:
        table.alter_column("confirm", server_default=None)
        table.alter_column("planned_at", nullable=False)
    for old, new in _RENAMED.items():
        op.execute(sa.update(deliveries).where(deliveries.c.state == old).values(state=new))
    op.create_table(
        "commitments",
        sa.Column("transaction_uid", sa.Text(), primary_key=True),
        sa.Column("job_id", sa.String(16), sa.ForeignKey("jobs.job_id"), nullable=False, index=True),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(), comment="when the peer said that it would answer"),
        sa.Column("answered_at", sa.DateTime()),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("study_uid", sa.Text(), nullable=False, index=True),
        sa.Column("job_id", sa.String(16), index=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
    )


def _add_priorities() -> None:
    """What is there is routine, and goes first: it has waited for the new version.

    Column by column: a new table in place of one that others refer to would take their rows along.
    """
    for table, comment in (("studies", "as its images say"), ("jobs", None)):
        urgency = sa.Column("urgency", sa.String(16), nullable=False, server_default="routine", comment=comment)
        op.add_column(table, urgency)
    first = sa.Column(
        "priority", sa.Integer(), nullable=False, server_default="1", comment="virtual time, the lowest goes first"
    )
    op.add_column("jobs", first)
