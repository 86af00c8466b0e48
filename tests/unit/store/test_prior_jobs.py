"""Earlier results of a patient, as the records find them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers import arrivals
from helpers.databases import open_database
from helpers.headlines import scored

from service.domain.job import Result, StoredObject
from service.domain.review import Review, Verdict
from service.store.inbox import Inbox
from service.store.jobs import Jobs
from service.store.prior_jobs import PriorJobs, patient_key
from service.store.records import Records
from service.store.retention import Retention
from service.store.reviews import Reviews
from service.store.spool import Spool
from service.store.tables import jobs, series

KEY = patient_key("4711", "General")
ALWAYS = datetime(2100, 1, 1, tzinfo=UTC)


class Hospital:
    """Tables in which results of studies are recorded."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_database(folder / "records.db")
        self.records, self.jobs, self.spool = Records(self.engine), Jobs(self.engine), Spool(folder)
        self.inbox = Inbox(self.spool, self.records)
        self.priors = PriorJobs(self.engine)

    def receive(self, study: str, instance: str = "1") -> str:
        self.inbox.take(arrivals.arrival(instance, study_uid=study, content=study.encode() + instance.encode()))
        (job_id,) = arrivals.create_due_jobs(self.records, arrivals.at(300), lambda _: 1.0)
        return job_id

    def analysed(
        self, study: str, day: int | None, key: str = KEY, at: datetime | None = None, instance: str = "1"
    ) -> str:
        """A job of a study whose CT is of that day of May, or does not say when it was acquired, analysed."""
        job_id = self.receive(study, instance)
        with self.engine.begin() as connection:
            this = series.c.study_uid == study
            series_uid = connection.scalar(sa.select(series.c.series_uid).where(this))
            acquired_at = None if day is None else datetime(2024, 5, day, 10, tzinfo=UTC)
            connection.execute(sa.update(series).where(this).values(acquired_at=acquired_at))
        self.jobs.start(job_id, arrivals.at(300))
        root = StoredObject("study", "1.2", f"1.2.{study}", f"results/{job_id}/study.sr.dcm", "0" * 64)
        self.jobs.finish(
            job_id,
            Result(series_uid=series_uid, headline=scored(7), objects=[root], patient=key),
            at or arrivals.at(400),
        )
        return job_id

    def found(
        self, study: str = "now", until: datetime = ALWAYS, as_of: datetime = ALWAYS, key: str = KEY
    ) -> list[str]:
        return [one.job_id for one in self.priors.find(key, arrivals.PIPELINE, study, until, as_of)]


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    return Hospital(tmp_path)


def test_the_latest_acquisition_comes_first_whatever_was_analysed_first(hospital: Hospital) -> None:
    late, early = hospital.analysed("A", 20), hospital.analysed("B", 10)
    assert hospital.found() == [late, early]
    assert hospital.found(until=datetime(2024, 5, 15, tzinfo=UTC)) == [early], "never a later one"


def test_a_ct_that_does_not_tell_its_time_is_found_too(hospital: Hospital) -> None:
    dated, undated = hospital.analysed("A", 20), hospital.analysed("B", None)
    assert set(hospital.found(until=datetime(2024, 5, 21, tzinfo=UTC))) == {dated, undated}


def test_the_objects_of_a_job_come_with_it(hospital: Hospital) -> None:
    hospital.analysed("A", 20)
    (found,) = hospital.priors.find(KEY, arrivals.PIPELINE, "now", ALWAYS, ALWAYS)
    assert [one.kind for one in found.objects] == ["study"] and found.verdict is None


def test_the_latest_word_of_a_reviewer_comes_with_it(hospital: Hospital) -> None:
    job = hospital.analysed("A", 20)
    for verdict, score in ((Verdict.ACCEPTED, None), (Verdict.OVERRIDDEN, 12)):
        Reviews(hospital.engine).add(job, Review(verdict, "Dr. Who", arrivals.at(500), score))
    (found,) = hospital.priors.find(KEY, arrivals.PIPELINE, "now", ALWAYS, ALWAYS)
    assert (found.verdict, found.score) == (Verdict.OVERRIDDEN, 12)


def test_neither_the_study_itself_nor_another_patient_or_pipeline_is_found(hospital: Hospital) -> None:
    hospital.analysed("A", 20)
    assert hospital.found(study="A") == []
    assert hospital.found(key=patient_key("4711", "Elsewhere")) == []
    assert list(hospital.priors.find(KEY, "another", "now", ALWAYS, ALWAYS)) == []


def test_what_ended_after_the_analysis_began_does_not_count(hospital: Hospital) -> None:
    job = hospital.analysed("A", 20, at=arrivals.at(400))
    assert hospital.found(as_of=arrivals.at(399)) == []
    assert hospital.found(as_of=arrivals.at(400)) == [job]


def test_of_a_study_only_the_newest_result_is_found(hospital: Hospital) -> None:
    hospital.analysed("A", 20)
    newest = hospital.analysed("A", 20, instance="2")
    assert hospital.found() == [newest]


def test_the_newest_result_of_a_study_counts_though_its_series_was_acquired_earlier(hospital: Hospital) -> None:
    hospital.analysed("A", 20)
    newest = hospital.analysed("A", 20, instance="2")
    with hospital.engine.begin() as connection:
        row = connection.execute(sa.select(series).where(series.c.study_uid == "A")).one()._asdict()
        other = row | {"series_uid": "S2", "acquired_at": datetime(2024, 5, 20, 9, 59, tzinfo=UTC)}
        connection.execute(sa.insert(series).values(other))
        connection.execute(sa.update(jobs).where(jobs.c.job_id == newest).values(series_uid="S2"))
    assert hospital.found() == [newest]


def test_a_purged_result_is_known_to_be_purged(hospital: Hospital) -> None:
    job = hospital.analysed("A", 20)
    later = datetime.now(UTC) + timedelta(days=400)
    assert not hospital.priors.is_purged(job)
    assert Retention(hospital.engine).give_up("A", later, later) is not None
    assert hospital.priors.is_purged(job)


def test_what_was_refused_or_cancelled_is_not_found(hospital: Hospital) -> None:
    job = hospital.receive("A")
    hospital.jobs.start(job, arrivals.at(300))
    hospital.jobs.finish(job, Result(patient=""), arrivals.at(400))
    assert hospital.found() == []


def test_a_purge_forgets_whose_a_result_was(hospital: Hospital) -> None:
    job = hospital.analysed("A", 20)
    later = datetime.now(UTC) + timedelta(days=400)
    assert Retention(hospital.engine).give_up("A", later, later) is not None
    assert hospital.found() == []
    with hospital.engine.begin() as connection:
        assert connection.scalar(sa.select(jobs.c.patient).where(jobs.c.job_id == job)) is None


def test_the_digest_names_nobody_and_depends_on_the_issuer() -> None:
    keys = {patient_key("4711", ""), patient_key("4711", "A"), patient_key("4712", "A"), patient_key("47", "11\nA")}
    assert len(keys) == 4 and all(len(one) == 64 and "4711" not in one for one in keys)
    assert patient_key("4711", "general") == KEY
    assert len({KEY, patient_key("4711", "General", "1.2 ISO"), patient_key("4711", "General", "1.3 ISO")}) == 3
    assert patient_key("", "General") == ""
