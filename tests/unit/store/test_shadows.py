"""Which shadow analyses tell of a candidate: those of its latest studies, all of each."""

import sqlalchemy as sa
from helpers.arrivals import arrival, at

from service.domain.priority import Urgency
from service.store.records import Records
from service.store.shadows import Shadow, Shadows, plan_shadows


def come(engine: sa.Engine, study_uid: str, number: int) -> list[str]:
    """A study of two pipelines, which lobes version 3 is to analyse too."""
    records, image = Records(engine), arrival(str(number), study_uid=study_uid)
    records.record(image, f"spool/{number}", "a" * 64, lambda *_: True)
    (study,) = [one for one in records.open_studies() if one.study_uid == study_uid]
    created = records.create_jobs(study, ("one", "other"), Urgency.ROUTINE, at(number))
    with engine.begin() as connection:
        for job_id in created:
            plan_shadows(connection, job_id, {"lobes": "3"}, at(number))
    return created


def test_a_study_is_told_whole_and_only_when_none_of_its_analyses_waits(engine: sa.Engine) -> None:
    shadows = Shadows(engine)

    def end(job_id: str, seconds: float, state: Shadow = Shadow.COMPARED) -> None:
        shadows.end(job_id, "lobes", "3", state, at(seconds), document={})

    def latest(studies: int, since: float = 0) -> list[tuple[str, str]]:
        rows = shadows.latest_studies("lobes", "3", at(since), studies)
        return [(str(row["study_uid"]), str(row["state"])) for row in rows]

    old, mixed, waits, gone = (come(engine, uid, n) for n, uid in enumerate(("old", "mixed", "waits", "gone"), 1))
    for job_id in old:
        end(job_id, 100)
    end(mixed[0], 110)
    end(mixed[1], 120, Shadow.FAILED)
    end(waits[0], 130)
    for job_id in gone:
        end(job_id, 140, Shadow.WITHDRAWN)
    assert latest(1) == [("mixed", "failed"), ("mixed", "compared")]
    assert latest(5) == [*latest(1), ("old", "compared"), ("old", "compared")]
    assert latest(5, since=105) == latest(1)
    end(waits[1], 150)
    assert latest(1) == [("waits", "compared")] * 2
    assert shadows.latest_studies("lobes", "4", at(0), 5) == []
