"""Deliveries that end by name: when an object was first stored, how often it was absent, and as what it was sent."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """What is stored was first stored when it was last, and by an answer that was understood."""
    times = "times it was stored and not there"
    converted = "of the object it was converted into; NULL: sent as it is"
    op.add_column("deliveries", sa.Column("first_stored_at", sa.DateTime(), comment="since it was planned"))
    op.add_column("deliveries", sa.Column("absences", sa.Integer(), nullable=False, server_default="0", comment=times))
    op.add_column("deliveries", sa.Column("sent_class_uid", sa.Text(), comment=converted))
    op.add_column("deliveries", sa.Column("sent_instance_uid", sa.Text()))
    op.execute("UPDATE deliveries SET first_stored_at = stored_at")
    op.execute("UPDATE deliveries SET status = 0 WHERE state = 'stored' AND status IS NULL")
