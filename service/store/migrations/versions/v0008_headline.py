"""A job's result is a headline of any pipeline, and its flags carry their sentences."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_NAME = "CT severity score, Pan 2020, 0-25"
_SENTENCES = {
    "THICK_SLICES": "Slices thicker than 3 mm: small opacities may be missed.",
    "LOSSY": "The images were compressed with loss.",
    "AGE_UNKNOWN": "The patient's age is not recorded.",
    "LUNG_AT_EDGE": "Incomplete lungs: a lung reaches the edge of the images.",
    "LUNG_DROPPED": "Incomplete lungs: a part found as lung was left out.",
    "LOBES_APPROXIMATE": "Lobes: approximate, borders 4.5 mm from fissures on average.",
    "UNMEASURED_MODEL": "A model is the site's own: not measured by Thoracle.",
    "LOBE_MISSING": "A lobe was not found: it is not scored, and there is no total.",
    "NO_CLASSIFIER": "Classification: no validated model installed.",
    "PADDING_MASKED": "Padding outside the field of view was set to air.",
    "TRACE_OPACITY": "The opacity found is within what is found in normal lungs.",
    "NO_NOISE_FLOOR": "No noise floor is measured for this model: noise is scored, too.",
    "LOW_AGREEMENT": "Mirrored images give a different result: read with care.",
}
"""As version 0.2 had them."""


def upgrade() -> None:
    """The score becomes a headline; every flag gets the sentence that it had."""
    comment = "the result to show in a list; NULL: none"
    op.add_column("jobs", sa.Column("headline", sa.JSON(none_as_null=True), comment=comment))
    jobs = sa.table(
        "jobs",
        sa.column("job_id", sa.Text),
        sa.column("series_uid", sa.Text),
        sa.column("severity_total", sa.Integer),
        sa.column("flags", sa.JSON),
        sa.column("headline", sa.JSON),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(jobs)).all():
        values: dict[str, Any] = {"flags": [_flag(code) for code in row.flags]}
        if row.series_uid is not None:
            values["headline"] = headline(row.severity_total)
        connection.execute(sa.update(jobs).where(jobs.c.job_id == row.job_id).values(values))
    if connection.dialect.name == "postgresql":
        op.execute("COMMENT ON COLUMN jobs.flags IS 'code and warning of each'")
    op.execute("ALTER TABLE jobs DROP COLUMN severity_total")  # SQLite: since 3.35, without a copy of the table


def headline(score: int | None) -> dict[str, Any]:
    """The headline of a result of version 0.2."""
    words = "no total score, a lobe was not found" if score is None else f"involvement: {_category(score)}"
    return {
        "name": _NAME,
        "value": score,
        "max": 25,
        "unit": "{score}",
        "category": None if score is None else _category(score),
        "words": words,
        "remark": "",
    }


def result_of_version_0_2(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a saved result of version 0.2 says, in the fields of now. result: as its file has it."""
    score, percent = result["severity_total"], result.get("opacity_percent")
    watched = {"severity_score": score, "opacity_percent": percent}
    return {
        "headline": None if result["series_uid"] is None else headline(score),
        "urgent": score is not None and _category(score) == "severe",
        "drift": {name: float(value) for name, value in watched.items() if value is not None},
        "flags": [
            {"code": code, "sentence": _SENTENCES.get(code, f"{code}."), "concept_value": f"Q-{code}"[:16]}
            for code in result["flags"]
        ],
    }


def _category(score: int) -> str:
    return "none" if score == 0 else "mild" if score <= 5 else "moderate" if score <= 14 else "severe"


def _flag(code: str) -> dict[str, str]:
    return {"code": code, "warning": _SENTENCES.get(code, code)}
