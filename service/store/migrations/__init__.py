"""Brings our tables to the newest schema, from inside the program."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from service.errors import Permanent
from service.store.engine import rebuilding

VERSION_TABLE = "schema_version"
_LOCK = 0x7468_6F72_6163_6C65  # "thoracle" in ASCII


def upgrade(engine: sa.Engine) -> tuple[str | None, str]:
    """Create or migrate the tables; the schema before, None if there was none, and now.

    Safe when several processes start at once: one by one, in one transaction. Permanent if the schema is of a newer
    version than this one.
    """
    config = _config()
    with rebuilding(engine) as connection:
        if engine.dialect.name == "postgresql":  # on SQLite no two transactions overlap
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        before, newest = _schemas(connection, config)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before, newest


def schemas(engine: sa.Engine) -> tuple[str | None, str]:
    """Returns the schema of the tables, None where there are none, and the newest one; changes nothing.

    Permanent if the schema is of a newer version than this one.
    """
    with engine.begin() as connection:
        return _schemas(connection, _config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def _schemas(connection: sa.Connection, config: Config) -> tuple[str | None, str]:
    found = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
    ours = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    if found is not None and found not in ours:
        raise Permanent(
            f"the database has schema {found}, which a newer version of Thoracle made; this one knows up to "
            f"{ours[0]}. Run that version, or restore the database from before its upgrade"
        )
    return found, ours[0]
