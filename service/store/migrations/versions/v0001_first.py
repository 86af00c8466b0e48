"""The first schema: studies, series, instances, jobs, refusals, evidence, deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "studies",
        sa.Column("study_uid", sa.Text(), primary_key=True),
        sa.Column("calling_ae", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("job_revision", sa.Integer(), nullable=False),
        sa.Column("last_ct_at", sa.DateTime()),
    )
    op.create_table(
        "series",
        sa.Column("study_uid", sa.Text(), sa.ForeignKey("studies.study_uid"), primary_key=True),
        sa.Column("series_uid", sa.Text(), primary_key=True),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("calling_ae", sa.Text(), nullable=False),
        sa.Column("called_ae", sa.Text(), nullable=False),
        sa.Column("peer_address", sa.Text(), nullable=False),
        sa.Column("first_received_at", sa.DateTime(), nullable=False),
        sa.Column("last_received_at", sa.DateTime(), nullable=False),
        sa.Column("acquired_at", sa.DateTime()),
        sa.Column("duplicates", sa.Integer(), nullable=False),
    )
    op.create_table(
        "instances",
        sa.Column("study_uid", sa.Text(), primary_key=True),
        sa.Column("series_uid", sa.Text(), primary_key=True),
        sa.Column("sop_instance_uid", sa.Text(), primary_key=True),
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False, unique=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("ignored", sa.Text(), comment="why it takes no part in any analysis"),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("replaced_at", sa.DateTime(), comment="when other bytes came for the same SOP Instance UID"),
        sa.ForeignKeyConstraint(["study_uid", "series_uid"], ["series.study_uid", "series.series_uid"]),
    )
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(16), primary_key=True),
        sa.Column("study_uid", sa.Text(), sa.ForeignKey("studies.study_uid"), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("supersedes", sa.String(16), sa.ForeignKey("jobs.job_id")),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("created_at", sa.DateTime(), nullable=False, index=True),
        sa.Column("started_at", sa.DateTime()),
        sa.Column("finished_at", sa.DateTime(), comment="when the analysis ended"),
        sa.Column("delivered_at", sa.DateTime()),
        sa.Column("acquired_at", sa.DateTime(), comment="latest acquisition of the study's CT images"),
        sa.Column("series_uid", sa.Text(), comment="the analysed series"),
        sa.Column("severity_total", sa.Integer()),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("timings_s", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.UniqueConstraint("study_uid", "revision"),
    )
    op.create_table(
        "refusals",
        sa.Column("job_id", sa.String(16), sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True),
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
    )
    op.create_table(
        "evidence",
        sa.Column("job_id", sa.String(16), sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("sop_instance_uid", sa.Text(), primary_key=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("job_id", sa.String(16), primary_key=True),
        sa.Column("destination", sa.Text(), primary_key=True),
        sa.Column("sop_instance_uid", sa.Text(), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("status", sa.Integer(), comment="of the latest C-STORE response"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime()),
        sa.Column("delivered_at", sa.DateTime()),
        sa.ForeignKeyConstraint(["job_id", "sop_instance_uid"], ["evidence.job_id", "evidence.sop_instance_uid"]),
    )
