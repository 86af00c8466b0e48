"""Prometheus gauges that are read at each scrape, from the database and the disk; counters are in `metrics`."""

import logging
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from service.domain.job_state import State
from service.domain.review import Verdict
from service.errors import Permanent
from service.tls import TlsFiles, ends, usable

log = logging.getLogger(__name__)

_REVIEWED_WITHIN = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Reading:
    """One gauge. read: values by the label's value; without a label, by ""."""

    name: str
    help: str
    read: Callable[[], Mapping[str, float]]
    label: str | None = None

    def family(self) -> Metric:
        family = GaugeMetricFamily(self.name, self.help, labels=[self.label] if self.label else None)
        for value, number in self.read().items():
            family.add_metric([value] if self.label else [], number)
        return family


@dataclass(frozen=True, slots=True, eq=False)
class SpoolCollector(Collector):
    """Space of the spool, in bytes; nothing where nobody counts it (infinite). warning_bytes: with less, it is said."""

    free_bytes: Callable[[], float]
    total_bytes: Callable[[], float]
    warning_bytes: float

    def collect(self) -> Iterator[Metric]:
        if math.isfinite(free := self.free_bytes()):
            yield GaugeMetricFamily("thoracle_spool_free_bytes", "Free space of the spool's disk", free)
            yield GaugeMetricFamily("thoracle_spool_total_bytes", "Size of the spool's disk", self.total_bytes())
            yield GaugeMetricFamily(
                "thoracle_spool_warning_bytes", "With less free space /readyz warns", self.warning_bytes
            )


@dataclass(frozen=True, slots=True, eq=False)
class CertificateCollector(Collector):
    """When certificates end, as their files are at each scrape. in_use: by what they are used for.

    ports: uses that are ports of ours.
    """

    in_use: Mapping[str, TlsFiles]
    ports: Collection[str] = ()

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "thoracle_certificate_end_timestamp_seconds",
            "When the first certificate or list of revocations ends that is used for this; 0: it is no use",
            labels=["use"],
        )
        for use, files in self.in_use.items():
            try:
                usable(files, use in self.ports)
                until = min(ends(files).values(), default=None)
            except Permanent:
                family.add_metric([use], 0.0)
            else:
                if until is not None:
                    family.add_metric([use], until.timestamp())
        yield family


@dataclass(frozen=True, slots=True, eq=False)
class DatabaseCollector(Collector):
    """What the database knows: all of it or nothing, because half of an answer looks like a whole one."""

    readings: Sequence[Reading]

    def collect(self) -> Iterator[Metric]:
        """Without these gauges while the database fails: the others are needed most then."""
        try:
            families = [reading.family() for reading in self.readings]
        except SQLAlchemyError as error:
            log.error("metrics without those of the database: %s", type(error).__name__)
            families = []
        yield GaugeMetricFamily("thoracle_database_up", "Whether the database answered", int(bool(families)))
        yield from families


def audit_messages(oldest: Callable[[], datetime | None], clock: Callable[[], datetime]) -> Reading:
    """The gauge of what the collector of audit messages does not have. oldest: since when something waits."""

    def age_s() -> dict[str, float]:
        since = oldest()
        return {"": 0.0 if since is None else max(0.0, (clock() - since).total_seconds())}

    what = "Age of the oldest audit message that its collector does not have yet; 0: it has all of them"
    return Reading("thoracle_oldest_audit_message_seconds", what, age_s)


class Known(Protocol):
    """What the gauges ask of the tables."""

    def jobs_by_state(self) -> Mapping[str, int]: ...

    def series_by_reason(self) -> Mapping[str, int]: ...

    def waiting_since(self) -> datetime | None:
        """When the oldest job came whose analysis has not begun."""
        ...

    def running_since(self) -> datetime | None:
        """When the analysis was begun that has gone on longest."""
        ...

    def undelivered(self) -> Mapping[str, tuple[int, datetime]]:
        """By destination: objects on their way, and when the oldest was to be delivered."""
        ...

    def last_delivered(self) -> Mapping[str, datetime]:
        """By destination: when an object last was delivered, as that destination confirms it."""
        ...


def readings(
    known: Known,
    verdicts: Callable[[datetime], Mapping[str, int]],
    overdue: Callable[[datetime], int],
    processes: Callable[[str], int],
    destinations: Collection[str],
    clock: Callable[[], datetime],
) -> tuple[Reading, ...]:
    """The gauges of the database.

    verdicts: jobs by review since a time. overdue: studies that should be purged by now. processes: alive, by role.
    """

    def age_s(since: datetime | None) -> float:
        return 0.0 if since is None else max(0.0, (clock() - since).total_seconds())

    def of_destinations(values: Mapping[str, float]) -> dict[str, float]:
        return dict.fromkeys(destinations, 0.0) | dict(values)

    return (
        Reading(
            "thoracle_jobs", "Jobs by state", lambda: dict.fromkeys(State, 0) | dict(known.jobs_by_state()), "state"
        ),
        Reading("thoracle_series", "Series by reason (ANALYSED or why not)", known.series_by_reason, "reason"),
        Reading(
            "thoracle_oldest_waiting_job_seconds",
            "Age of the oldest job whose analysis has not begun; 0: none waits",
            lambda: {"": age_s(known.waiting_since())},
        ),
        Reading(
            "thoracle_oldest_running_job_seconds",
            "Seconds since the analysis was begun that has gone on longest; 0: nothing is analysed",
            lambda: {"": age_s(known.running_since())},
        ),
        Reading(
            "thoracle_undelivered_objects",
            "Objects on their way, by destination",
            lambda: of_destinations({name: count for name, (count, _) in known.undelivered().items()}),
            "destination",
        ),
        Reading(
            "thoracle_oldest_undelivered_object_seconds",
            "Age of the oldest object on its way, by destination; 0: there is none",
            lambda: of_destinations({name: age_s(since) for name, (_, since) in known.undelivered().items()}),
            "destination",
        ),
        Reading(
            "thoracle_last_delivered_timestamp_seconds",
            "When an object last was delivered, as the destination confirms it; 0: never",
            lambda: of_destinations({name: at.timestamp() for name, at in known.last_delivered().items()}),
            "destination",
        ),
        Reading(
            "thoracle_reviews",
            f"Results reviewed in the last {_REVIEWED_WITHIN.days} days, by the latest word on each",
            lambda: dict.fromkeys(Verdict, 0) | dict(verdicts(clock() - _REVIEWED_WITHIN)),
            "verdict",
        ),
        Reading(
            "thoracle_purge_overdue_studies",
            "Studies whose files should have been removed an hour ago",
            lambda: {"": overdue(clock() - timedelta(hours=1))},
        ),
        Reading(
            "thoracle_processes",
            "Living processes of this service, by role",
            lambda: {role: processes(role) for role in ("receiver", "worker")},
            "role",
        ),
    )
