"""A result may have a rank on the worklist."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Results so far have none."""
    op.add_column("jobs", sa.Column("rank", sa.Float(), comment="on the worklist, 0 to 1, 1 the first; NULL: none"))
