import sqlite3
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.errors import Permanent
from service.store.engine import database_engine, drop_log, sqlite_engine


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql+psycopg://me:secret@/thoracle", "no host"),
        ("postgresql+psycopg://me:secret@/thoracle?host=/run/postgresql", "no host"),
        ("postgresql://me:secret@host/thoracle", "must be 'postgresql\\+psycopg'"),
        ("mysql://me:secret@host/thoracle", "'mysql'"),
        ("me:secret@host", "cannot be read"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str, why: str) -> None:
    with pytest.raises(Permanent, match=why) as refused:
        database_engine(url)
    assert "secret" not in str(refused.value)


def test_a_path_is_a_file_even_with_odd_characters(tmp_path: Path) -> None:
    path = tmp_path / "50% ? x.db"
    with database_engine(path).begin():
        assert path.exists()


def test_threads_get_to_write_in_the_order_they_came(tmp_path: Path) -> None:
    engine, order, threads = sqlite_engine(tmp_path / "records.db"), [], []

    def write(number: int) -> None:
        with engine.begin():
            order.append(number)

    with engine.begin():
        for number in range(6):
            threads.append(threading.Thread(target=write, args=[number]))
            threads[-1].start()
            time.sleep(0.1)  # until it waits
    for thread in threads:
        thread.join()
    assert order == list(range(6))


def test_a_log_that_cannot_be_emptied_now_is_told_and_others_wait_as_long_as_ever(tmp_path: Path) -> None:
    def authorized(_action: int, what: str | None, *_: object) -> int:
        return sqlite3.SQLITE_DENY if what == "wal_checkpoint" else sqlite3.SQLITE_OK

    engine = sqlite_engine(tmp_path / "records.db")
    assert drop_log(engine)
    engine.dispose()
    sa.event.listen(engine, "connect", lambda connection, _: connection.set_authorizer(authorized))
    assert not drop_log(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30000


def test_a_commit_is_durable_whatever_the_default_of_the_server_is() -> None:
    engine = database_engine("postgresql+psycopg://me@host/thoracle")
    connect = {}
    sa.event.listen(engine, "do_connect", lambda _dialect, _record, _args, how: connect.update(how) or stop())
    with pytest.raises(Stopped):
        engine.connect()
    assert "-c synchronous_commit=on" in connect["options"]


class Stopped(Exception):
    """No server is asked."""


def stop() -> None:
    raise Stopped
