"""Gauges that are read when Prometheus asks."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError

from service.ops.counting_files import exposition
from service.ops.gauges import DatabaseCollector, Reading, SpoolCollector, readings

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def samples(*collectors: Any) -> dict[tuple[str, ...], float]:
    text = exposition(*collectors).decode()
    families = text_string_to_metric_families(text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


class Known:
    """One job waits, one is analysed; of two objects to the archive one is late."""

    def jobs_by_state(self) -> dict[str, int]:
        return {"queued": 1}

    def series_by_reason(self) -> dict[str, int]:
        return {"TILT": 2}

    def waiting_since(self) -> datetime | None:
        return NOW - timedelta(minutes=5)

    def running_since(self) -> datetime | None:
        return NOW - timedelta(minutes=40)

    def undelivered(self) -> dict[str, tuple[int, datetime]]:
        return {"archive": (2, NOW - timedelta(hours=1))}

    def last_delivered(self) -> dict[str, datetime]:
        return {"archive": NOW}


def test_what_is_not_there_is_zero_and_ages_are_seconds() -> None:
    asked: list[datetime] = []

    def overdue(before: datetime) -> int:
        asked.append(before)
        return 3

    def verdicts(since: datetime) -> dict[str, int]:
        asked.append(since)
        return {"accepted": 9}

    database = DatabaseCollector(
        readings(Known(), verdicts, overdue, {"receiver": 1, "worker": 2}.__getitem__, ["archive", "pacs"], lambda: NOW)
    )
    found = samples(database)
    assert found["thoracle_database_up",] == 1
    assert (found["thoracle_jobs", "queued"], found["thoracle_jobs", "failed"]) == (1, 0)
    assert found["thoracle_series", "TILT"] == 2
    assert found["thoracle_oldest_waiting_job_seconds",] == 300
    assert found["thoracle_oldest_running_job_seconds",] == 2400
    assert (found["thoracle_undelivered_objects", "archive"], found["thoracle_undelivered_objects", "pacs"]) == (2, 0)
    oldest = "thoracle_oldest_undelivered_object_seconds"
    assert (found[oldest, "archive"], found[oldest, "pacs"]) == (3600, 0)
    last = "thoracle_last_delivered_timestamp_seconds"
    assert (found[last, "archive"], found[last, "pacs"]) == (NOW.timestamp(), 0)
    assert (found["thoracle_reviews", "accepted"], found["thoracle_reviews", "overridden"]) == (9, 0)
    assert found["thoracle_purge_overdue_studies",] == 3
    assert (found["thoracle_processes", "receiver"], found["thoracle_processes", "worker"]) == (1, 2)
    assert sorted(asked) == [NOW - timedelta(days=30), NOW - timedelta(hours=1)]


def test_a_database_that_fails_hides_no_other_metric() -> None:
    def fails() -> dict[str, float]:
        raise OperationalError("SELECT", {}, Exception())

    half = [Reading("thoracle_jobs", "", lambda: {"": 1}), Reading("thoracle_series", "", fails)]
    found = samples(SpoolCollector(lambda: 12345, lambda: 23456, 4e9), DatabaseCollector(half))
    assert found == {
        ("thoracle_spool_free_bytes",): 12345,
        ("thoracle_spool_total_bytes",): 23456,
        ("thoracle_spool_warning_bytes",): 4e9,
        ("thoracle_database_up",): 0,
    }, "all or none: half of an answer looks like a whole one"


def test_a_bucket_has_no_free_space_to_tell_of() -> None:
    assert samples(SpoolCollector(lambda: math.inf, lambda: math.inf, 4e9)) == {}
