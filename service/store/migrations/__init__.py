"""Brings our tables to the newest schema, from inside the program."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from service.errors import Permanent

VERSION_TABLE = "schema_version"
_LOCK = 0x7468_6F72_6163_6C65  # "thoracle" in ASCII


def upgrade(engine: sa.Engine) -> tuple[str | None, str]:
    """Create or migrate the tables; the schema before, None if there was none, and now.

    Safe when several processes start at once: one by one, in one transaction. Permanent if the schema is of a newer
    version than this one.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # on SQLite no two transactions overlap
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        before = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
        ours = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
        if before is not None and before not in ours:
            raise Permanent(
                f"the database has schema {before}, which a newer version of Thoracle made; this one knows up to "
                f"{ours[0]}. Run that version, or restore the database from before its upgrade"
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before, ours[0]
