"""A study has a job for each pipeline that takes it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_ONLY_ONE = "covid-severity"
"""The pipeline of version 0.2."""


def upgrade() -> None:
    """Every job so far is of the one pipeline that there was."""
    comment = "its name; empty: no pipeline takes the study"
    column = sa.Column("pipeline", sa.Text(), nullable=False, server_default=_ONLY_ONE, comment=comment)
    op.add_column("jobs", column)
    key = ["study_uid", "revision", "pipeline"]
    if op.get_bind().dialect.name == "postgresql":
        op.execute("COMMENT ON COLUMN jobs.number IS 'of the study''s results by this pipeline: 1, 2, 3, ...'")
        op.drop_constraint("jobs_study_uid_revision_key", "jobs")
        op.create_unique_constraint(None, "jobs", key)
        return
    # SQLite makes the table anew; its foreign keys must be off meanwhile (`migrations.upgrade`).
    names = {"uq": "uq_%(table_name)s_%(column_0_name)s"}
    with op.batch_alter_table("jobs", recreate="always", naming_convention=names) as jobs:
        jobs.drop_constraint("uq_jobs_study_uid", type_="unique")
        jobs.create_unique_constraint("jobs_study_uid_revision_pipeline_key", key)
