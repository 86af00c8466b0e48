"""A result is found again for a later CT of the patient, by a digest of the patient ID."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Whose the results so far are is not known: nothing is compared with them."""
    digest = "digest of whose result it is; NULL: not known, or purged"
    op.add_column("jobs", sa.Column("patient", sa.String(64), comment=digest))
    op.create_index("ix_jobs_patient", "jobs", ["patient"])
