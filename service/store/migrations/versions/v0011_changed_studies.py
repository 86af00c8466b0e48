"""Studies that will get a job are found without reading all of them."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """An index of those that have changed since their last job."""
    changed = sa.text("revision > job_revision")
    op.create_index("ix_studies_changed", "studies", ["calling_ae"], sqlite_where=changed, postgresql_where=changed)
