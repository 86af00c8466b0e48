"""Retention: which studies have files, when they were given up, and what is still to be removed."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """All that is there is kept. Column by column, as in 0002."""
    op.add_column(
        "studies",
        sa.Column("kept", sa.Boolean(), nullable=False, server_default=sa.true(), comment="whether it has files"),
    )
    op.add_column("studies", sa.Column("purged_at", sa.DateTime(), comment="when its files were last given up"))
    given_up = sa.Column("purged_at", sa.DateTime(), comment="when its images and results were given up")
    op.add_column("jobs", given_up)
    op.create_table(
        "removals",
        sa.Column("path", sa.Text(), primary_key=True, comment="given up, to be removed"),
        sa.Column("study_uid", sa.Text(), sa.ForeignKey("studies.study_uid"), nullable=False, index=True),
        sa.Column(
            "job_id",
            sa.String(16),
            sa.ForeignKey("jobs.job_id"),
            comment="whose results lie there; NULL: a received file",
        ),
    )
