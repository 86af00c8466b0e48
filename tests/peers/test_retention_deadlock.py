"""On PostgreSQL transactions overlap: a purge, and what else happens to the same jobs, take turns."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from helpers.arrivals import arrival, at, create_due_jobs
from helpers.postgresql import PostgreSQL

from service.domain.job import Result, StoredObject
from service.store.deliveries import Deliveries
from service.store.engine import database_engine
from service.store.job_rows import get
from service.store.jobs import Jobs
from service.store.migrations import upgrade
from service.store.planning import Plan
from service.store.records import Records
from service.store.retention import Retention
from service.store.tables import deliveries, removals

pytestmark = pytest.mark.peers
LONG_AFTER = at(0) + timedelta(days=100_000)


@pytest.fixture
def engine(postgresql: PostgreSQL) -> Iterator[sa.Engine]:
    engine = database_engine(postgresql.create())
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def two_jobs(engine: sa.Engine) -> list[str]:
    """Of one study, the earlier one first; both are cancelled, and each has a delivery."""
    records, jobs, sending = Records(engine), Jobs(engine), Deliveries(engine)
    made = []
    for number in "12":
        records.record(arrival(number), f"spool/{number}", number * 64, lambda *_: True)
        [job] = create_due_jobs(records, at(60), lambda _: 60.0)
        jobs.start(job, at(70))
        result = StoredObject("study", "1.2", f"1.{number}", f"results/{number}", "a" * 64)
        plans = {"pacs": Plan([result.sop_instance_uid], "none")}
        jobs.finish(job, Result(series_uid="S.1", objects=[result]), at(90), plans)
        sending.cancel(job, "me", at(91))
        made.append(job)
    return made


def give_up(retention: Retention) -> bool:
    return retention.give_up("S", LONG_AFTER, LONG_AFTER) is not None


def forget(retention: Retention) -> bool:
    return retention.forget("S", LONG_AFTER + timedelta(days=1))


@pytest.mark.parametrize("step", [give_up, forget])
def test_a_purge_waits_for_whoever_has_a_job_in_hand(
    engine: sa.Engine, two_jobs: list[str], step: Callable[[Retention], bool]
) -> None:
    """Whoever locks the newer job may go on to the older one, and to the rows of both."""
    earlier, newer = two_jobs
    if step is forget:
        assert give_up(Retention(engine))
        with engine.begin() as connection:
            connection.execute(sa.delete(removals))
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as connection:
            get(connection, newer)
            done = pool.submit(step, Retention(engine))
            time.sleep(2)
            get(connection, earlier)
            connection.execute(sa.update(deliveries).values(last_error="a late answer"))
        assert done.result()
