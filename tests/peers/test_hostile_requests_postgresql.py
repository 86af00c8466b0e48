"""The API on PostgreSQL, which holds less than SQLite: no NUL, integers of 32 bits."""

from pathlib import Path

from helpers.databases import open_database
from helpers.hostile_requests import answer_all, application
from helpers.postgresql import PostgreSQL


def test_no_value_of_any_parameter_or_field_is_answered_5xx(postgresql: PostgreSQL, tmp_path: Path) -> None:
    engine = open_database(postgresql.create())
    assert answer_all(*application(engine, tmp_path)) > 1000
    engine.dispose()
