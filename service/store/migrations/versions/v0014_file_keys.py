"""Files may be encrypted: their keys, wrapped by the master key."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "file_keys",
        sa.Column("key_id", sa.String(32), primary_key=True, comment="as encrypted files name it"),
        sa.Column("owner", sa.Text(), nullable=False, comment="folder of the study or of the job's results"),
        sa.Column("wrapped", sa.String(120), comment="by the master key, hexadecimal; NULL: forgotten by a purge"),
        sa.Column("master", sa.String(16), nullable=False, comment="which master key"),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.Column("forgotten_at", sa.DateTime()),
    )
    op.create_index("ix_file_keys_owner", "file_keys", ["owner"])
    in_use = sa.text("wrapped IS NOT NULL")
    op.create_index(
        "ix_file_keys_in_use", "file_keys", ["owner"], unique=True, sqlite_where=in_use, postgresql_where=in_use
    )
