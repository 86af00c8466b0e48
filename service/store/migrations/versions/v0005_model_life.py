"""The life of models: which ones made a result, what candidates say in the shadow, and the audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("models", sa.JSON(), comment="that made the result; NULL: not known"))
    op.create_table(
        "shadows",
        sa.Column("job_id", sa.String(16), sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("model", sa.Text(), primary_key=True),
        sa.Column("version", sa.Text(), primary_key=True, comment="of the candidate"),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("at", sa.DateTime(), nullable=False, comment="when it got into this state"),
        sa.Column("results", sa.Text(), nullable=False, comment="name of the candidate's results"),
        sa.Column("document", sa.JSON(), comment="the difference, and the models of both analyses"),
        sa.Column("error", sa.Text(), nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("at", sa.DateTime(), nullable=False, index=True),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, index=True),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
    )
