"""A session tells on what its roles rest, and ends when that is changed."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """On what the sessions so far rest is not known: they count no more, and people log in again."""
    basis = "digest of what gave the roles: password of the account, or configuration of OpenID"
    op.add_column("sessions", sa.Column("basis", sa.String(64), nullable=False, server_default="", comment=basis))
