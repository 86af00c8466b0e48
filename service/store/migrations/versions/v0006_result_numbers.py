"""Which result of a study is the current one: their numbers, and which objects a result's root refers to."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("evidence", sa.Column("refers_to", sa.JSON(), comment="SOP Instance UIDs; NULL: none"))
    comment = "of the study's results: 1, 2, 3, ..."
    op.add_column("jobs", sa.Column("number", sa.Integer(), nullable=False, server_default="1", comment=comment))
    op.execute(_COUNT)


_COUNT = """
UPDATE jobs SET number = (
    SELECT count(*) FROM jobs AS earlier WHERE earlier.study_uid = jobs.study_uid AND (
        earlier.created_at < jobs.created_at
        OR (earlier.created_at = jobs.created_at AND earlier.revision <= jobs.revision)
    )
)
"""
