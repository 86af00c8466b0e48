"""Our tables, for SQLite and PostgreSQL alike. `migrations` creates them; a test compares the two."""

from datetime import UTC, datetime

import sqlalchemy as sa


class UtcDateTime(sa.TypeDecorator[datetime]):
    """An aware datetime, stored as UTC without a zone (SQLite has none)."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


metadata = sa.MetaData()

studies = sa.Table(
    "studies",
    metadata,
    sa.Column("study_uid", sa.Text, primary_key=True),
    sa.Column("calling_ae", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("job_revision", sa.Integer, nullable=False),
    sa.Column("last_ct_at", UtcDateTime),
    sa.Column("urgency", sa.String(16), nullable=False, comment="as its images say"),
    sa.Column("kept", sa.Boolean, nullable=False, comment="whether it has files"),
    sa.Column("purged_at", UtcDateTime, comment="when its files were last given up"),
)

_changed = studies.c.revision > studies.c.job_revision
sa.Index("ix_studies_changed", studies.c.calling_ae, sqlite_where=_changed, postgresql_where=_changed)

series = sa.Table(
    "series",
    metadata,
    sa.Column("study_uid", sa.ForeignKey("studies.study_uid"), primary_key=True),
    sa.Column("series_uid", sa.Text, primary_key=True),
    sa.Column("modality", sa.Text, nullable=False),
    sa.Column("calling_ae", sa.Text, nullable=False),
    sa.Column("called_ae", sa.Text, nullable=False),
    sa.Column("peer_address", sa.Text, nullable=False),
    sa.Column("first_received_at", UtcDateTime, nullable=False),
    sa.Column("last_received_at", UtcDateTime, nullable=False),
    sa.Column("acquired_at", UtcDateTime),
    sa.Column("duplicates", sa.Integer, nullable=False),
)

instances = sa.Table(
    "instances",
    metadata,
    sa.Column("study_uid", sa.Text, primary_key=True),
    sa.Column("series_uid", sa.Text, primary_key=True),
    sa.Column("sop_instance_uid", sa.Text, primary_key=True),
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("sop_class_uid", sa.Text, nullable=False),
    sa.Column("transfer_syntax_uid", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False, unique=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("ignored", sa.Text, comment="why it takes no part in any analysis"),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("replaced_at", UtcDateTime, comment="when other bytes came for the same SOP Instance UID"),
    sa.ForeignKeyConstraint(["study_uid", "series_uid"], ["series.study_uid", "series.series_uid"]),
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("job_id", sa.String(16), primary_key=True),
    sa.Column("study_uid", sa.ForeignKey("studies.study_uid"), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("pipeline", sa.Text, nullable=False, comment="its name; empty: no pipeline takes the study"),
    sa.Column("supersedes", sa.ForeignKey("jobs.job_id")),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("urgency", sa.String(16), nullable=False),
    sa.Column("priority", sa.Integer, nullable=False, comment="virtual time, the lowest goes first"),
    sa.Column("created_at", UtcDateTime, nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False, comment="of the study's results by this pipeline: 1, 2, 3, ..."),
    sa.Column("started_at", UtcDateTime),
    sa.Column("finished_at", UtcDateTime, comment="when the analysis ended"),
    sa.Column("delivered_at", UtcDateTime),
    sa.Column("purged_at", UtcDateTime, comment="when its images and results were given up"),
    sa.Column("acquired_at", UtcDateTime, comment="latest acquisition of the study's CT images"),
    sa.Column("series_uid", sa.Text, comment="the analysed series"),
    sa.Column("headline", sa.JSON(none_as_null=True), comment="the result to show in a list; NULL: none"),
    sa.Column("rank", sa.Float, comment="on the worklist, 0 to 1, 1 the first; NULL: none"),
    sa.Column("flags", sa.JSON, nullable=False, comment="code and warning of each"),
    sa.Column("timings_s", sa.JSON, nullable=False),
    sa.Column("facts", sa.JSON, comment="what routing rules look at"),
    sa.Column("models", sa.JSON(none_as_null=True), comment="that made the result; NULL: not known"),
    sa.Column("patient", sa.String(64), index=True, comment="digest of whose result it is; NULL: not known, or purged"),
    sa.Column("error", sa.Text, nullable=False),
    sa.UniqueConstraint("study_uid", "revision", "pipeline"),
)

refusals = sa.Table(
    "refusals",
    metadata,
    sa.Column("job_id", sa.ForeignKey("jobs.job_id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("series_uid", sa.Text, nullable=False),
    sa.Column("reason", sa.String(32), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
)

evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("job_id", sa.ForeignKey("jobs.job_id"), primary_key=True),
    sa.Column("sop_instance_uid", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("style", sa.Text, comment="for which destinations; NULL: for all"),
    sa.Column("series_uid", sa.Text, comment="of the object"),
    sa.Column("refers_to", sa.JSON(none_as_null=True), comment="SOP Instance UIDs; NULL: none"),
    sa.Column("sop_class_uid", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("job_id", sa.String(16), primary_key=True),
    sa.Column("destination", sa.Text, primary_key=True),
    sa.Column("sop_instance_uid", sa.Text, primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("confirm", sa.String(16), nullable=False, comment="what makes it delivered beyond being stored"),
    sa.Column("status", sa.Integer, comment="of the latest response"),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("last_error", sa.Text, nullable=False),
    sa.Column("next_attempt_at", UtcDateTime),
    sa.Column("planned_at", UtcDateTime, nullable=False, comment="or an operator wanted it again"),
    sa.Column("stored_at", UtcDateTime),
    sa.Column("first_stored_at", UtcDateTime, comment="since it was planned"),
    sa.Column("absences", sa.Integer, nullable=False, server_default="0", comment="times it was stored and not there"),
    sa.Column("sent_class_uid", sa.Text, comment="of the object it was converted into; NULL: sent as it is"),
    sa.Column("sent_instance_uid", sa.Text),
    sa.Column("committed_at", UtcDateTime),
    sa.ForeignKeyConstraint(["job_id", "sop_instance_uid"], ["evidence.job_id", "evidence.sop_instance_uid"]),
)

commitments = sa.Table(
    "commitments",
    metadata,
    sa.Column("transaction_uid", sa.Text, primary_key=True),
    sa.Column("job_id", sa.ForeignKey("jobs.job_id"), nullable=False, index=True),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("accepted_at", UtcDateTime, comment="when the peer said that it would answer"),
    sa.Column("answered_at", UtcDateTime),
)

reviews = sa.Table(
    "reviews",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("job_id", sa.ForeignKey("jobs.job_id"), nullable=False, index=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("by_whom", sa.Text, nullable=False),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("score", sa.Integer, comment="the radiologist's own"),
    sa.Column("comment", sa.Text, nullable=False),
)

shadows = sa.Table(
    "shadows",
    metadata,
    sa.Column("job_id", sa.ForeignKey("jobs.job_id"), primary_key=True),
    sa.Column("model", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, primary_key=True, comment="of the candidate"),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("at", UtcDateTime, nullable=False, comment="when it got into this state"),
    sa.Column("results", sa.Text, nullable=False, comment="name of the candidate's results"),
    sa.Column("document", sa.JSON(none_as_null=True), comment="the difference, and the models of both analyses"),
    sa.Column("error", sa.Text, nullable=False),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False, index=True),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("entry", sa.Integer, nullable=False, index=True, comment="id of the row that began it"),
    sa.Column("digest", sa.String(64), nullable=False, comment="of this row and the digest before"),
)

audit_heads = sa.Table(
    "audit_heads",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("number", sa.Integer, nullable=False, comment="id of the last row that it signs"),
    sa.Column("digest", sa.String(64), nullable=False, comment="of that row"),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("before", sa.String(128), nullable=False, comment="signature of the head before"),
    sa.Column("key", sa.String(64), nullable=False, comment="public key (Ed25519), hexadecimal"),
    sa.Column("signature", sa.String(128), nullable=False, comment="hexadecimal"),
)

audit_messages = sa.Table(
    "audit_messages",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("event", sa.Text, nullable=False, comment="for the collector, in JSON; deleted when it has it"),
    sa.Column("holder", sa.Text, index=True, comment="lock of the process it goes on in; NULL: it is over"),
)

audit_told = sa.Table(
    "audit_told",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("audit_id", sa.Integer, nullable=False, comment="the last row of the audit trail that became a message"),
)

removals = sa.Table(
    "removals",
    metadata,
    sa.Column("path", sa.Text, primary_key=True, comment="given up, to be removed"),
    sa.Column("study_uid", sa.ForeignKey("studies.study_uid"), nullable=False, index=True),
    sa.Column("job_id", sa.ForeignKey("jobs.job_id"), comment="whose results lie there; NULL: a received file"),
)

file_keys = sa.Table(
    "file_keys",
    metadata,
    sa.Column("key_id", sa.String(32), primary_key=True, comment="as encrypted files name it"),
    sa.Column("owner", sa.Text, nullable=False, index=True, comment="folder of the study or of the job's results"),
    sa.Column("wrapped", sa.String(120), comment="by the master key, hexadecimal; NULL: forgotten by a purge"),
    sa.Column("master", sa.String(16), nullable=False, comment="which master key"),
    sa.Column("made_at", UtcDateTime, nullable=False),
    sa.Column("forgotten_at", UtcDateTime),
)

_in_use = file_keys.c.wrapped.is_not(None)
sa.Index("ix_file_keys_in_use", file_keys.c.owner, unique=True, sqlite_where=_in_use, postgresql_where=_in_use)

users = sa.Table(
    "users",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("password", sa.Text, nullable=False, comment="hash by Argon2id"),
    sa.Column("roles", sa.JSON, nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
    sa.Column("login_at", UtcDateTime, comment="of the last login"),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True, comment="SHA-256 of the cookie's value"),
    sa.Column("name", sa.String(128), nullable=False, index=True),
    sa.Column("means", sa.String(16), nullable=False, comment="how the user was known at login"),
    sa.Column("roles", sa.JSON, nullable=False, comment="at login; those of a local account are in users"),
    sa.Column("begun_at", UtcDateTime, nullable=False),
    sa.Column("seen_at", UtcDateTime, nullable=False),
    sa.Column(
        "basis",
        sa.String(64),
        nullable=False,
        server_default="",
        comment="digest of what gave the roles: password of the account, or configuration of OpenID",
    ),
)

login_attempts = sa.Table(
    "login_attempts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    sa.Column("name_digest", sa.String(64), nullable=False, comment="SHA-256: a password may be typed as a name"),
    sa.Column("address", sa.Text, nullable=False),
)

login_flows = sa.Table(
    "login_flows",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True, comment="SHA-256 of the state sent to the OpenID provider"),
    sa.Column("nonce", sa.String(64), nullable=False),
    sa.Column("verifier", sa.String(128), nullable=False, comment="PKCE (RFC 7636)"),
    sa.Column("begun_at", UtcDateTime, nullable=False, index=True),
)

api_tokens = sa.Table(
    "api_tokens",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True, comment="SHA-256 of the token"),
    sa.Column("roles", sa.JSON, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
    sa.Column("ends_at", UtcDateTime, nullable=False),
    sa.Column("revoked_at", UtcDateTime),
    sa.Column("used_at", UtcDateTime, comment="last use, to the minute"),
    sa.Column("used_from", sa.Text, comment="address of the last use"),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("study_uid", sa.Text, nullable=False, index=True),
    sa.Column("job_id", sa.String(16), index=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
)
