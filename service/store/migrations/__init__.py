"""Brings our tables to the newest schema, from inside the program."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

_LOCK = 0x7468_6F72_6163_6C65  # "thoracle" in ASCII


def upgrade(engine: sa.Engine) -> None:
    """Create or migrate the tables. Safe when several processes start at once: one by one, in one transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # on SQLite no two transactions overlap
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
