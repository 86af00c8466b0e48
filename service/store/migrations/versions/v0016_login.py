"""The API asks who somebody is: local accounts, sessions, API tokens, and logins that go on or have failed."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("password", sa.Text(), nullable=False, comment="hash by Argon2id"),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.Column("login_at", sa.DateTime(), comment="of the last login"),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(64), primary_key=True, comment="SHA-256 of the cookie's value"),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("means", sa.String(16), nullable=False, comment="how the user was known at login"),
        sa.Column("roles", sa.JSON(), nullable=False, comment="at login; those of a local account are in users"),
        sa.Column("begun_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
    )
    op.create_index("ix_sessions_name", "sessions", ["name"])
    op.create_table(
        "login_attempts",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("name_digest", sa.String(64), nullable=False, comment="SHA-256: a password may be typed as a name"),
        sa.Column("address", sa.Text(), nullable=False),
    )
    op.create_index("ix_login_attempts_at", "login_attempts", ["at"])
    op.create_table(
        "login_flows",
        sa.Column(
            "digest", sa.String(64), primary_key=True, comment="SHA-256 of the state sent to the OpenID provider"
        ),
        sa.Column("nonce", sa.String(64), nullable=False),
        sa.Column("verifier", sa.String(128), nullable=False, comment="PKCE (RFC 7636)"),
        sa.Column("begun_at", sa.DateTime(), nullable=False),
    )
    op.create_index("ix_login_flows_begun_at", "login_flows", ["begun_at"])
    op.create_table(
        "api_tokens",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True, comment="SHA-256 of the token"),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.Column("ends_at", sa.DateTime(), nullable=False),
        sa.Column("revoked_at", sa.DateTime()),
        sa.Column("used_at", sa.DateTime(), comment="last use, to the minute"),
        sa.Column("used_from", sa.Text(), comment="address of the last use"),
    )
