"""What only several hosts on one PostgreSQL meet: overlapping transactions, and sessions that break or go silent."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers.arrivals import arrival, at, create_due_jobs
from helpers.dicom_peers import wait_until
from helpers.postgresql import PostgreSQL

from service.domain.delivery import Confirm, ObjectDelivery
from service.domain.delivery_state import Delivered
from service.domain.job import Result, StoredObject
from service.domain.job_state import State
from service.store.advisory_locks import AdvisoryLocks
from service.store.deliveries import Deliveries
from service.store.engine import database_engine
from service.store.inbox import Inbox
from service.store.intake import Recorded
from service.store.job_rows import get
from service.store.jobs import Jobs
from service.store.migrations import upgrade
from service.store.planning import Plan
from service.store.presence import present
from service.store.records import Records
from service.store.spool import Spool
from service.store.tables import deliveries, instances, studies

SEG = StoredObject("lobes", "1.2.840.10008.5.1.4.1.1.66.4", "1.1", "results/j/lobes.seg.dcm", "a" * 64)

pytestmark = pytest.mark.peers


@pytest.fixture
def engine(postgresql: PostgreSQL) -> Iterator[sa.Engine]:
    engine = database_engine(postgresql.create())
    upgrade(engine)
    yield engine
    engine.dispose()


def holder(engine: sa.Engine) -> int:
    """The process id of the server's end of the one session that holds our locks."""
    with engine.begin() as connection:
        query = (
            "SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND objsubid = 2 AND datname = current_database()"
        )
        return int(connection.execute(sa.text(query)).scalar_one())


def test_a_broken_session_is_lost_for_good_but_seen_again(engine: sa.Engine) -> None:
    ours, others = AdvisoryLocks(engine), AdvisoryLocks(engine)
    ours.join("receiver")
    assert ours.held
    os.kill(holder(engine), signal.SIGTERM)
    wait_until(lambda: not ours.held, 5)
    wait_until(lambda: present(others, "receiver"), 5)
    assert not ours.held


def test_a_server_that_does_not_answer_counts_as_a_broken_session(engine: sa.Engine) -> None:
    ours = AdvisoryLocks(engine)
    ours.join("executors")
    session = holder(engine)
    os.kill(session, signal.SIGSTOP)
    try:
        wait_until(lambda: not ours.held, 11)
    finally:
        os.kill(session, signal.SIGCONT)
    wait_until(lambda: ours.held, 5)


def test_a_server_notices_a_vanished_host_and_the_sites_own_options_are_kept(postgresql: PostgreSQL) -> None:
    engine = database_engine(postgresql.create() + "?options=-csearch_path%3Dours")
    with engine.connect() as connection:
        shown = [connection.scalar(sa.text(f"SHOW {name}")) for name in ("search_path", "tcp_keepalives_idle")]
    assert shown == ["ours", "5"]


def test_slices_of_one_study_that_come_at_once_are_all_counted(engine: sa.Engine, tmp_path: Path) -> None:
    inbox = Inbox(Spool(tmp_path), Records(engine))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(inbox.take, [arrival(str(n), content=bytes([n])) for n in range(40)]))
    with engine.begin() as connection:
        assert connection.scalar(sa.select(studies.c.revision)) == 40


def test_one_job_is_made_of_a_study_that_two_workers_find_complete(engine: sa.Engine, tmp_path: Path) -> None:
    records = Records(engine)
    Inbox(Spool(tmp_path), records).take(arrival())
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda _: create_due_jobs(records, at(60), lambda _: 60.0), range(8)))
    assert sum(len(jobs) for jobs in created) == 1


def test_an_operator_and_an_outcome_that_come_at_once_take_turns(engine: sa.Engine, tmp_path: Path) -> None:
    """Both lock the job first: in another order each would wait for the other."""
    records, jobs, sending = Records(engine), Jobs(engine), Deliveries(engine)
    Inbox(Spool(tmp_path), records).take(arrival())
    [job] = create_due_jobs(records, at(60), lambda _: 60.0)
    jobs.start(job, at(70))
    jobs.finish(job, Result(series_uid="S.1", objects=[SEG]), at(90))
    sending.begin(job, {"pacs": Plan([SEG.sop_instance_uid], Confirm.NONE)}, at(91))
    stored = ObjectDelivery(SEG.sop_instance_uid, Delivered.STORED, 0, "")
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            get(connection, job)
            recorded = pool.submit(sending.record, job, "pacs", [stored], at(100), None)
            time.sleep(0.5)
            connection.execute(sa.update(deliveries).values(last_error="sent again"))
        assert recorded.result().state is State.DELIVERED


def test_an_error_does_not_show_the_values_of_its_statement(engine: sa.Engine) -> None:
    with engine.begin() as connection, pytest.raises(sa.exc.DBAPIError) as error:
        connection.execute(sa.text("SELECT CAST(:name AS jsonb) -> 'x'"), {"name": '["Doe^Jane"'})
    assert "hidden" in str(error.value)


def test_text_with_a_nul_is_kept(engine: sa.Engine) -> None:
    """PostgreSQL has no NUL in a text; a damaged header may."""
    records = Records(engine)
    damaged = arrival("1\0junk")
    assert records.record(damaged, "path", "0" * 64, lambda *_: True) is Recorded.NEW
    assert records.record(damaged, "path", "0" * 64, lambda *_: True) is Recorded.DUPLICATE
    with engine.begin() as connection:
        assert connection.scalar(sa.select(instances.c.sop_instance_uid)) == "1\N{REPLACEMENT CHARACTER}junk"
