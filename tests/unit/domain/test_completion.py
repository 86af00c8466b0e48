from arrivals import at

from service.domain.completion import StudyState, due, job_id


def study(revision: int = 3, job_revision: int = 0) -> StudyState:
    return StudyState("S", "CT1", revision, job_revision, last_ct_at=at(0))


def test_a_study_is_due_when_it_was_quiet_for_long_enough() -> None:
    assert not due(study(), at(59.9), quiet_s=60)
    assert due(study(), at(60), quiet_s=60)


def test_a_study_with_a_job_is_due_only_after_a_change() -> None:
    assert not due(study(revision=3, job_revision=3), at(1000), quiet_s=60)
    assert due(study(revision=4, job_revision=3), at(1000), quiet_s=60)


def test_a_job_is_named_after_study_revision_and_content() -> None:
    name = job_id("S", 2, ["aa", "bb"])
    assert name == job_id("S", 2, ["bb", "aa"])
    assert len({name, job_id("T", 2, ["aa", "bb"]), job_id("S", 3, ["aa", "bb"]), job_id("S", 2, ["aa"])}) == 4
