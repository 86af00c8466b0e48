"""Events wait for the hospital's collector of audit messages."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "audit_messages",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False, comment="for the collector, in JSON; deleted when it has it"),
        sa.Column("holder", sa.Text(), comment="lock of the process it goes on in; NULL: it is over"),
    )
    op.create_index("ix_audit_messages_holder", "audit_messages", ["holder"])
    op.create_table(
        "audit_told",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column(
            "audit_id", sa.Integer(), nullable=False, comment="the last row of the audit trail that became a message"
        ),
    )
