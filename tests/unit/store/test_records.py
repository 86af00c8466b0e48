"""What arrivals mean: studies, revisions, jobs that are due."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers.arrivals import PIPELINE, arrival, at, create_due_jobs, keep
from helpers.databases import open_database
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from service.domain.arrival import Arrival
from service.domain.job_state import State
from service.domain.priority import Urgency
from service.store.jobs import Jobs
from service.store.records import Records
from service.store.spool import Spool
from service.store.tables import instances, series

Store = Callable[[Arrival], str]


@pytest.fixture
def store(records: Records, tmp_path: Path) -> Store:
    spool = Spool(tmp_path)
    return lambda one: keep(spool, records, one)


def quiet_60(_: str) -> float:
    return 60.0


def test_a_study_becomes_one_job_after_its_quiet_period(records: Records, jobs: Jobs, store: Store) -> None:
    for n in range(3):
        store(arrival(str(n), seconds=n))
    assert create_due_jobs(records, at(61), quiet_60) == []
    [job] = create_due_jobs(records, at(62), quiet_60)
    assert create_due_jobs(records, at(63), quiet_60) == []
    created = jobs.get(job)
    assert (created.study_uid, created.revision, created.state) == ("S", 3, State.CREATED)
    assert created.supersedes is None
    assert created.created_at == at(62)


def test_all_series_of_a_study_must_be_quiet(records: Records, store: Store) -> None:
    store(arrival("1", seconds=0))
    store(arrival("2", seconds=50, series_uid="S.2"))
    assert create_due_jobs(records, at(60), quiet_60) == []
    assert len(create_due_jobs(records, at(110), quiet_60)) == 1


def test_the_quiet_period_is_the_senders(records: Records, store: Store) -> None:
    store(arrival("1", study_uid="fast", ae="FAST"))
    store(arrival("1", study_uid="slow", ae="SLOW"))
    quiet = {"FAST": 5.0, "SLOW": 500.0}
    assert len(create_due_jobs(records, at(10), quiet.__getitem__)) == 1
    assert len(create_due_jobs(records, at(500), quiet.__getitem__)) == 1


def test_a_late_slice_makes_a_job_that_supersedes(records: Records, jobs: Jobs, store: Store) -> None:
    store(arrival("1"))
    [first] = create_due_jobs(records, at(60), quiet_60)
    jobs.start(first, at(61))
    store(arrival("2", seconds=100))
    [second] = create_due_jobs(records, at(160), quiet_60)
    assert jobs.get(second).supersedes == first
    assert jobs.get(first).state is State.SUPERSEDED, "its results would be those of an incomplete study"


def test_a_superseded_job_that_has_not_begun_never_does(records: Records, jobs: Jobs, store: Store) -> None:
    store(arrival("1"))
    [first] = create_due_jobs(records, at(60), quiet_60)
    jobs.mark_queued(first)
    store(arrival("2", seconds=100))
    [second] = create_due_jobs(records, at(160), quiet_60)
    assert jobs.get(first).state is State.SUPERSEDED
    assert [job_id for job_id, _ in jobs.to_enqueue()] == [second]


def test_an_identical_duplicate_is_counted_and_makes_no_job(records: Records, engine: sa.Engine, store: Store) -> None:
    store(arrival("1"))
    [_] = create_due_jobs(records, at(60), quiet_60)
    store(arrival("1", seconds=100))
    assert create_due_jobs(records, at(1000), quiet_60) == []
    with engine.begin() as connection:
        assert connection.scalar(sa.select(series.c.duplicates)) == 1
        assert connection.scalar(sa.select(sa.func.count()).select_from(instances)) == 1


def test_a_duplicate_restarts_the_quiet_period(records: Records, store: Store) -> None:
    """Its sender sends the study again and the missing slices are still to come."""
    store(arrival("1"))
    store(arrival("1", seconds=50))
    assert create_due_jobs(records, at(60), quiet_60) == []
    assert len(create_due_jobs(records, at(110), quiet_60)) == 1


def test_other_bytes_of_an_instance_replace_it(records: Records, store: Store) -> None:
    store(arrival("1", content=b"old"))
    [first] = create_due_jobs(records, at(60), quiet_60)
    new = store(arrival("1", seconds=100, content=b"new"))
    [second] = create_due_jobs(records, at(160), quiet_60)
    assert second != first
    [one] = records.series_of("S")
    assert one.paths == (new,)
    assert len(records.paths()) == 2, "the replaced file is still known"


def test_bytes_that_come_back_are_current_again(records: Records, store: Store) -> None:
    first = store(arrival("1", content=b"a"))
    store(arrival("1", seconds=1, content=b"b"))
    assert store(arrival("1", seconds=2, content=b"a")) == first
    assert records.series_of("S")[0].paths == (first,)


def test_an_older_file_found_later_does_not_replace_a_newer_one(records: Records, store: Store, tmp_path: Path) -> None:
    new = store(arrival("1", seconds=100, content=b"new"))
    keep(Spool(tmp_path), records, arrival("1", seconds=0, content=b"old"), found_at=at(130))
    assert records.series_of("S")[0].paths == (new,)
    assert create_due_jobs(records, at(189), quiet_60) == [], "others may be found: the quiet period begins again"
    assert len(create_due_jobs(records, at(190), quiet_60)) == 1


def test_what_comes_now_is_the_newest_though_the_clock_was_set_back(records: Records, store: Store) -> None:
    store(arrival("1", seconds=7200, content=b"old"))
    new = store(arrival("1", seconds=0, content=b"new"))
    assert records.series_of("S")[0].paths == (new,)


def test_a_study_that_changes_while_it_is_looked_at_is_left_for_the_next_time(records: Records, store: Store) -> None:
    store(arrival("1"))

    [seen] = records.open_studies()
    store(arrival("2", seconds=61))
    assert records.create_jobs(seen, [PIPELINE], Urgency.ROUTINE, at(61)) == []
    assert len(create_due_jobs(records, at(121), quiet_60)) == 1
    assert records.open_studies() == []
    assert records.create_jobs(seen, [PIPELINE], Urgency.ROUTINE, at(122)) == [], "it has its job"


def test_a_resent_slice_makes_a_study_wait_though_it_changes_nothing(records: Records, store: Store) -> None:
    store(arrival("1"))
    [seen] = records.open_studies()
    store(arrival("1", seconds=30))
    assert records.create_jobs(seen, [PIPELINE], Urgency.ROUTINE, at(60)) == [], "its sender is at work again"
    assert create_due_jobs(records, at(89), quiet_60) == []
    assert len(create_due_jobs(records, at(90), quiet_60)) == 1


MR = {"sop_class_uid": str(MRImageStorage), "modality": "MR"}
OURS = [SegmentationStorage, Comprehensive3DSRStorage, EncapsulatedPDFStorage, SecondaryCaptureImageStorage]


def test_anything_but_ct_makes_no_further_job_and_is_ignored_by_name(records: Records, store: Store) -> None:
    store(arrival("1"))
    [_] = create_due_jobs(records, at(60), quiet_60)
    store(arrival("2", seconds=100, series_uid="S.2", **MR))
    assert create_due_jobs(records, at(1000), quiet_60) == []
    ct, other = records.series_of("S")
    assert (len(ct.paths), ct.ignored, ct.other_images) == (1, (), ())
    assert (other.paths, other.ignored) == ((), ("NOT_CT: MR Image Storage, modality MR",))
    assert len(other.other_images) == 1


def test_a_study_of_other_images_gets_one_job_after_its_quiet_period(
    records: Records, jobs: Jobs, store: Store
) -> None:
    for n in range(3):
        store(arrival(str(n), seconds=30 * n, **MR))
    assert create_due_jobs(records, at(119), quiet_60) == []
    [job] = create_due_jobs(records, at(120), quiet_60)
    assert (jobs.get(job).revision, jobs.get(job).acquired_at) == (1, None)
    store(arrival("4", seconds=200, **MR))
    assert create_due_jobs(records, at(1000), quiet_60) == [], "it is told once"
    store(arrival("5", seconds=1100))
    [of_ct] = create_due_jobs(records, at(1160), quiet_60)
    assert jobs.get(of_ct).supersedes == job


def test_ct_and_other_images_are_one_job_whatever_comes_first(records: Records, store: Store) -> None:
    store(arrival("1", study_uid="MR first", **MR))
    store(arrival("2", seconds=5, study_uid="MR first"))
    store(arrival("1", study_uid="CT first"))
    store(arrival("2", seconds=5, study_uid="CT first", **MR))
    assert len(create_due_jobs(records, at(60), quiet_60)) == 1, "other images do not delay a CT"
    assert len(create_due_jobs(records, at(65), quiet_60)) == 1
    assert create_due_jobs(records, at(1000), quiet_60) == []


@pytest.mark.parametrize("sop_class", OURS)
def test_results_that_a_pacs_sends_back_make_no_job(records: Records, store: Store, sop_class: str) -> None:
    ours = {"sop_class_uid": str(sop_class), "modality": "OT", "series_uid": "S.9"}
    store(arrival("1"))
    [_] = create_due_jobs(records, at(60), quiet_60)
    store(arrival("2", seconds=100, **ours))
    store(arrival("3", seconds=100, study_uid="nothing else", **ours))
    assert create_due_jobs(records, at(1000), quiet_60) == []


def test_a_job_of_other_images_can_be_wanted_again(records: Records, store: Store) -> None:
    store(arrival("1", **MR))
    [_] = create_due_jobs(records, at(60), quiet_60)
    assert records.create_job_again("S", PIPELINE, "Kim", at(70))


def test_a_restart_forgets_nothing(engine: sa.Engine, database: str | Path, store: Store) -> None:
    store(arrival("1"))
    engine.dispose()
    again = open_database(database)
    assert create_due_jobs(Records(again), at(59), quiet_60) == []
    assert len(create_due_jobs(Records(again), at(60), quiet_60)) == 1


def test_the_jobs_acquisition_is_the_latest_of_its_ct_series(records: Records, jobs: Jobs, store: Store) -> None:
    store(arrival("1", acquired_at=at(-600)))
    store(arrival("2", acquired_at=at(-300)))
    store(arrival("3", acquired_at=at(-500)))
    store(arrival("4", series_uid="S.2", sop_class_uid=str(MRImageStorage), modality="MR", acquired_at=at(-100)))
    [job] = create_due_jobs(records, at(60), quiet_60)
    assert jobs.get(job).acquired_at == at(-300)
