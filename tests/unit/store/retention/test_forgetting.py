"""The rows of a purged study go last, and all of them."""

from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa
from helpers.ward import LATER, NOW, Ward

from service.store.shadows import Shadow, Shadows, results_of
from service.store.tables import metadata, reviews


def test_the_history_goes_last_and_whole(ward: Ward, engine: sa.Engine) -> None:
    ward.delivered("1")
    reviewed = {"job_id": ward.delivered("2"), "at": NOW, "by_whom": "ada", "verdict": "accepted", "comment": ""}
    with engine.begin() as connection:
        connection.execute(sa.insert(reviews).values(reviewed))
    soon = LATER + timedelta(days=1)
    assert ward.retention.past(soon) == []
    ward.give_up()
    assert ward.retention.past(soon) == [], "its files are still to be removed"
    ward.remove()
    assert ward.retention.past(LATER) == []
    assert not ward.retention.forget("S", LATER)
    assert ward.retention.past(soon) == ["S"]
    assert ward.retention.forget("S", soon)
    assert not ward.retention.forget("S", soon)
    with engine.begin() as connection:
        assert {
            t.name: n
            for t in metadata.sorted_tables
            if (n := connection.scalar(sa.select(sa.func.count()).select_from(t)))
        } == {}


def test_a_study_that_came_again_keeps_its_history(ward: Ward) -> None:
    ward.delivered("1")
    ward.purge()
    ward.receive("2")
    assert ward.retention.past(LATER + timedelta(days=400)) == []
    assert not ward.retention.forget("S", LATER + timedelta(days=400))


def test_what_candidates_said_in_the_shadow_goes_with_the_job_and_its_rows_are_forgotten(ward: Ward) -> None:
    ward.receive("1")
    job_id = ward.job()
    ward.finish(job_id, replace(ward.results(job_id), shadows={"lobes": "2", "lungs": "1"}))
    ward.spool.save_results(results_of(job_id, "lobes", "2"), {"result.json": b"what the candidate said"})
    shadows = Shadows(ward.engine)
    shadows.end(job_id, "lobes", "2", Shadow.COMPARED, NOW)
    ward.purge()
    again = ward.spool.save_results(results_of(job_id, "lobes", "2"), {"other.json": b"nothing was kept"})
    assert set(again) == {"other.json"}
    assert [one["state"] for one in shadows.of("lobes")] == ["compared"], "what was found stays"
    assert ward.retention.forget("S", LATER + timedelta(days=1))
    assert shadows.of("lobes") == shadows.of("lungs") == []
