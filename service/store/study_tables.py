"""The tables in which a worker follows a study: what came, its jobs, their deliveries, and its shadow analyses."""

from dataclasses import dataclass
from typing import Self

import sqlalchemy as sa

from service.store.deliveries import Deliveries
from service.store.jobs import Jobs
from service.store.records import Records
from service.store.shadows import Shadows


@dataclass(frozen=True, slots=True)
class StudyTables:
    """All on one database."""

    records: Records
    jobs: Jobs
    deliveries: Deliveries
    shadows: Shadows

    @classmethod
    def on(cls, engine: sa.Engine) -> Self:
        """Returns the tables of a database."""
        return cls(Records(engine), Jobs(engine), Deliveries(engine), Shadows(engine))
