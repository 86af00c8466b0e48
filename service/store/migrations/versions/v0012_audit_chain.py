"""The audit trail becomes a chain: rows are only added, and each has a digest that holds the one before."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Entries so far are taken as they are now; their numbers, which nothing refers to, get no gaps."""
    op.add_column("audit", sa.Column("entry", sa.Integer(), comment="id of the row that began it"))
    op.add_column("audit", sa.Column("digest", sa.String(64), comment="of this row and the digest before"))
    op.create_index("ix_audit_entry", "audit", ["entry"])
    connection, digest = op.get_bind(), ""
    rows = sa.text("SELECT id, at, who, what, subject, outcome, detail FROM audit ORDER BY id")
    change = sa.text("UPDATE audit SET id = :number, entry = :number, digest = :digest WHERE id = :id")
    for number, row in enumerate(connection.execute(rows).mappings().all(), start=1):
        digest = _digest(digest, number, row)
        connection.execute(change, {"id": row["id"], "number": number, "digest": digest})
    with op.batch_alter_table("audit") as table:
        table.alter_column("entry", existing_type=sa.Integer(), nullable=False)
        table.alter_column("digest", existing_type=sa.String(64), nullable=False)
    op.create_table(
        "audit_heads",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("number", sa.Integer(), nullable=False, comment="id of the last row that it signs"),
        sa.Column("digest", sa.String(64), nullable=False, comment="of that row"),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("before", sa.String(128), nullable=False, comment="signature of the head before"),
        sa.Column("key", sa.String(64), nullable=False, comment="public key (Ed25519), hexadecimal"),
        sa.Column("signature", sa.String(128), nullable=False, comment="hexadecimal"),
    )


def _digest(before: str, number: int, row: Any) -> str:
    """As `service/store/audit_chain.py` had it at this version."""
    at, detail = row["at"], row["detail"]
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    found = json.loads(detail) if isinstance(detail, str) else detail
    told = [number, number, moment.astimezone(UTC).isoformat(timespec="microseconds")]
    told += [row["who"], row["what"], row["subject"], row["outcome"], found]
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()
