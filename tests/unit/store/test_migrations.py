"""A database of the previous version, with work in flight, is carried over."""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from helpers.arrivals import arrival, at, create_due_jobs

from service.domain.delivery import Confirm, ObjectDelivery
from service.domain.delivery_state import Delivered
from service.domain.flags import GAS_LEFT_OUT, LUNG_ADDED
from service.domain.job_state import State
from service.domain.review import Review, Verdict
from service.pipelines.covid_severity.flags import FLAGS
from service.pipelines.shared.flags import NOT_RELIABLE
from service.store import migrations
from service.store.audit import Audit
from service.store.audit_heads import AuditHeads
from service.store.deliveries import Deliveries
from service.store.intake import Recorded
from service.store.jobs import Jobs
from service.store.migrations import upgrade
from service.store.migrations.versions import v0008_headline
from service.store.overview import Overview
from service.store.prior_jobs import PriorJobs, patient_key
from service.store.records import Records
from service.store.retention import Retention
from service.store.reviews import Reviews
from service.store.shadows import Shadows
from service.store.worklist import Worklist


def migrate(engine: sa.Engine, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


@pytest.fixture
def old(engine: sa.Engine) -> sa.Engine:
    """Schema 0001 with one job that was being delivered: one object stored, one waiting, one refused."""
    with engine.begin() as connection:
        metadata = sa.MetaData()
        metadata.reflect(connection)
        metadata.drop_all(connection)
    migrate(engine, "0001")
    first = sa.MetaData()
    first.reflect(engine)
    created = at(0).replace(tzinfo=None)
    job = {"job_id": "j", "study_uid": "S", "revision": 1, "state": "delivering", "created_at": created}
    of_object = {"job_id": "j", "sop_class_uid": "1.2", "path": "p", "sha256": "a" * 64, "kind": "lobes"}
    of_delivery = {"job_id": "j", "destination": "pacs", "attempts": 1, "last_error": ""}
    states = {"1.1": "stored", "1.2": "pending", "1.3": "failed"}
    with engine.begin() as connection:
        study = {"study_uid": "S", "calling_ae": "CT1", "revision": 1, "job_revision": 1, "last_ct_at": created}
        connection.execute(sa.insert(first.tables["studies"]).values(study))
        connection.execute(sa.insert(first.tables["jobs"]).values({**job, "flags": [], "timings_s": {}, "error": ""}))
        for position, (uid, state) in enumerate(states.items()):
            key = {"sop_instance_uid": uid}
            connection.execute(sa.insert(first.tables["evidence"]).values(of_object | key | {"position": position}))
            row = of_delivery | key | {"state": state, "delivered_at": created if state == "stored" else None}
            connection.execute(sa.insert(first.tables["deliveries"]).values(row))
    return engine


def test_what_was_on_its_way_goes_on(old: sa.Engine) -> None:
    upgrade(old)
    jobs, deliveries = Jobs(old), Deliveries(old)
    job = jobs.get("j")
    assert (job.state, job.urgency, job.facts) == (State.DELIVERING, "routine", None)
    assert [(due.job_id, due.destination) for due in deliveries.to_deliver()] == [("j", "pacs")]
    (waiting,) = deliveries.open("j", "pacs")
    assert (waiting.stored.sop_instance_uid, waiting.state) == ("1.2", Delivered.BUILT)
    assert (waiting.confirm, waiting.planned_at) == (Confirm.NONE, at(0))
    with old.begin() as connection:
        rows = connection.execute(sa.text("SELECT sop_instance_uid, state, stored_at FROM deliveries ORDER BY 1")).all()
    assert [(row[0], row[1], row[2] is not None) for row in rows] == [
        ("1.1", "stored", True),
        ("1.2", "built", False),
        ("1.3", "refused", False),
    ]


def test_what_0002_received_and_delivered_is_kept_and_goes_on(old: sa.Engine) -> None:
    migrate(old, "0002")
    second = sa.MetaData()
    second.reflect(old)
    received = at(0).replace(tzinfo=None)
    study = {"study_uid": "T", "calling_ae": "CT1", "revision": 1, "job_revision": 0, "last_ct_at": received}
    image = {"study_uid": "T", "series_uid": "T.1", "sop_instance_uid": "1", "sha256": "a" * 64, "size_bytes": 1}
    image |= {"sop_class_uid": "1.2", "transfer_syntax_uid": "1.2", "path": "spool/1", "received_at": received}
    series = {"study_uid": "T", "series_uid": "T.1", "modality": "CT", "calling_ae": "CT1", "called_ae": "THORACLE"}
    series |= {"peer_address": "", "first_received_at": received, "last_received_at": received, "duplicates": 0}
    with old.begin() as connection:
        connection.execute(sa.insert(second.tables["studies"]).values(study | {"urgency": "stat"}))
        connection.execute(sa.insert(second.tables["series"]).values(series))
        connection.execute(sa.insert(second.tables["instances"]).values(image))
        connection.execute(sa.text("UPDATE deliveries SET state = 'stored'"))
        connection.execute(sa.text("UPDATE jobs SET state = 'delivered'"))
    upgrade(old)
    records, retention = Records(old), Retention(old)
    assert retention.due(at(1)) == ["S"], "what was delivered is purged in its turn"
    assert records.record(arrival("2", study_uid="T"), "spool/2", "b" * 64, lambda *_: True) is Recorded.NEW
    (job,) = create_due_jobs(records, at(60), lambda _: 60.0)
    assert [len(one.paths) for one in records.series_of("T")] == [1, 1]
    assert (Jobs(old).get(job).urgency, retention.due(at(9999))) == ("stat", ["S"])


def test_a_result_of_0003_can_be_reviewed(old: sa.Engine) -> None:
    migrate(old, "0003")
    with old.begin() as connection:
        connection.execute(sa.text("UPDATE jobs SET series_uid = '1.2'"))
    upgrade(old)
    reviews = Reviews(old)
    assert reviews.verdicts(at(0)) == {}
    reviews.add("j", Review(Verdict.OVERRIDDEN, "ada", at(1), 4))
    assert reviews.verdicts(at(0)) == {"overridden": 1}
    assert Jobs(old).get("j").state is State.DELIVERING, "what was on its way goes on"


def test_what_0004_analysed_has_models_that_nobody_knows(old: sa.Engine) -> None:
    migrate(old, "0004")
    upgrade(old)
    job = Overview(old).job("j")
    assert job is not None and job["models"] is None
    with Audit(old, lambda: at(1)).entry("ada", "cancel", "j"):
        Deliveries(old).cancel("j", "ada", at(1))
    assert Shadows(old).to_run() == []


def test_migration_0006_numbers_the_results_of_each_study(old: sa.Engine) -> None:
    migrate(old, "0005")
    columns = "study_uid, revision, state, urgency, priority, created_at, flags, timings_s, error"
    with old.begin() as connection:
        for job_id, later in (("k", "2030-01-01"), ("l", "2029-01-01")):
            connection.execute(
                sa.text(
                    f"INSERT INTO jobs (job_id, {columns}) SELECT '{job_id}', 'S', {1 + ord(job_id)}, state, urgency, "
                    f"priority, '{later} 00:00:00', flags, timings_s, error FROM jobs WHERE job_id = 'j'"
                )
            )
    upgrade(old)
    jobs = Jobs(old)
    assert {job_id: jobs.get(job_id).number for job_id in "jkl"} == {"j": 1, "l": 2, "k": 3}
    assert jobs.get("j").started_at is None and jobs.objects("j")[0].refers_to == ()


def test_0008_makes_headlines_of_scores_and_gives_flags_their_sentences(old: sa.Engine) -> None:
    """Results of 0.2: a score, a refusal, no score because a lobe was missing, a severe one, one that is not there."""
    migrate(old, "0007")
    copied = "study_uid, state, urgency, priority, created_at, timings_s, error"
    ended = {
        "scored": ("'1.2'", "7", ["THICK_SLICES", "NO_NOISE_FLOOR"]),
        "refused": ("NULL", "NULL", []),
        "lobe missing": ("'1.3'", "NULL", ["LOBE_MISSING"]),
        "severe": ("'1.4'", "15", ["LUNG_AT_EDGE"]),
        "clear": ("'1.5'", "0", ["OF_ANOTHER_VERSION"]),
    }
    with old.begin() as connection:
        for number, (job_id, (series_uid, score, flags)) in enumerate(ended.items(), 2):
            columns = f"job_id, revision, number, series_uid, severity_total, flags, {copied}"
            values = f"'{job_id}', {number}, {number}, {series_uid}, {score}, '{json.dumps(flags)}', {copied}"
            connection.execute(sa.text(f"INSERT INTO jobs ({columns}) SELECT {values} FROM jobs WHERE job_id = 'j'"))
    upgrade(old)
    assert "severity_total" not in {column["name"] for column in sa.inspect(old).get_columns("jobs")}
    shown = {job_id: Overview(old).job(job_id) or {} for job_id in ("j", *ended)}
    headlines = {job_id: job["headline"] for job_id, job in shown.items()}
    assert headlines["scored"] == {
        "name": "CT severity score, Pan 2020, 0-25",
        "value": 7,
        "max": 25,
        "unit": "{score}",
        "category": "moderate",
        "words": "involvement: moderate",
        "remark": "",
    }
    assert headlines["j"] is headlines["refused"] is None, "nothing was analysed"
    missing = headlines["lobe missing"]
    assert (missing["value"], missing["category"]) == (None, None)
    assert missing["words"] == "no total score, a lobe was not found"
    assert [headlines[job_id]["category"] for job_id in ("severe", "clear")] == ["severe", "none"]
    assert [headlines[job_id]["value"] for job_id in ("severe", "clear")] == [15, 0]
    assert {job_id: (job["flags"], job["warnings"]) for job_id, job in shown.items()} == {
        "j": ([], []),
        "scored": (
            ["THICK_SLICES", "NO_NOISE_FLOOR"],
            [
                "Slices thicker than 3 mm: small opacities may be missed.",
                "No noise floor is measured for this model: noise is scored, too.",
            ],
        ),
        "refused": ([], []),
        "lobe missing": (["LOBE_MISSING"], ["A lobe was not found: it is not scored, and there is no total."]),
        "severe": (["LUNG_AT_EDGE"], ["Incomplete lungs: a lung reaches the edge of the images."]),
        "clear": (["OF_ANOTHER_VERSION"], ["OF_ANOTHER_VERSION"]),
    }
    with old.connect() as connection:
        nothing = sa.text("SELECT job_id FROM jobs WHERE headline IS NULL ORDER BY job_id")
        assert connection.execute(nothing).scalars().all() == ["j", "refused"], "NULL, and no JSON null"


@pytest.mark.parametrize("code", [flag.code for flag in FLAGS if flag not in (GAS_LEFT_OUT, LUNG_ADDED, NOT_RELIABLE)])
def test_0008_knows_every_flag_that_version_0_2_raised(code: str) -> None:
    """The words are those of then, whatever a flag says now."""
    assert v0008_headline._SENTENCES[code].endswith(".")


def of_all_tables(engine: sa.Engine) -> dict[str, int]:
    """Number of rows by table."""
    metadata = sa.MetaData()
    metadata.reflect(engine)
    with engine.begin() as connection:
        counted = {name: sa.select(sa.func.count()).select_from(table) for name, table in metadata.tables.items()}
        return {name: connection.execute(count).scalar_one() for name, count in counted.items()}


def with_rows_that_refer_to_it(engine: sa.Engine) -> None:
    """Job j gets a predecessor, a refusal, a review, a commitment that was asked for, and a candidate in the shadow."""
    now = "'2026-03-01 08:00:00'"
    copied = "study_uid, state, urgency, priority, created_at, flags, timings_s, error"
    rows = (
        f"INSERT INTO jobs (job_id, revision, number, {copied}) "
        f"SELECT 'i', 0, 0, {copied} FROM jobs WHERE job_id = 'j'",
        "UPDATE jobs SET state = 'superseded' WHERE job_id = 'i'",
        "UPDATE jobs SET supersedes = 'i' WHERE job_id = 'j'",
        "INSERT INTO refusals (job_id, position, series_uid, reason, detail) VALUES ('j', 0, '1.9', 'TILT', '')",
        f"INSERT INTO reviews (job_id, at, by_whom, verdict, comment) VALUES ('j', {now}, 'ada', 'accepted', '')",
        f"INSERT INTO commitments (transaction_uid, job_id, destination, asked_at) VALUES ('2.1', 'j', 'pacs', {now})",
        "INSERT INTO shadows (job_id, model, version, state, at, results, error) "
        f"VALUES ('j', 'lobes', '2', 'waiting', {now}, 'j-shadow', '')",
    )
    with engine.begin() as connection:
        for row in rows:
            connection.execute(sa.text(row))


@pytest.mark.parametrize("before", ["0007", "0008"])
def test_0009_keeps_every_row_of_work_in_flight_and_its_references(old: sa.Engine, before: str) -> None:
    """SQLite makes the table of jobs anew, to which six others refer."""
    migrate(old, before)
    with_rows_that_refer_to_it(old)
    rows = of_all_tables(old)
    upgrade(old)
    later = ["audit_heads", "audit_messages", "audit_told", "file_keys"]
    later += ["api_tokens", "login_attempts", "login_flows", "sessions", "users"]
    assert of_all_tables(old) == rows | dict.fromkeys(later, 0), "tables of later migrations"
    jobs, deliveries = Jobs(old), Deliveries(old)
    assert [(jobs.get(job_id).pipeline, jobs.get(job_id).supersedes) for job_id in "ij"] == [
        ("covid-severity", None),
        ("covid-severity", "i"),
    ]
    assert [(due.job_id, due.destination) for due in deliveries.to_deliver()] == [("j", "pacs")]
    assert Shadows(old).waiting("j") == [("lobes", "2")]
    deliveries.mark_sent("j", "pacs", ["1.2"])
    stored = [ObjectDelivery("1.2", Delivered.STORED, 0)]
    assert deliveries.record("j", "pacs", stored, at(9), None).state is State.UNDELIVERED, "one object was refused"
    with pytest.raises(sa.exc.IntegrityError), old.begin() as connection:
        connection.execute(sa.text("DELETE FROM jobs WHERE job_id = 'j'"))
    with pytest.raises(sa.exc.IntegrityError), old.begin() as connection:
        connection.execute(sa.text("UPDATE shadows SET job_id = 'nobody'"))


def test_0009_allows_one_job_of_each_pipeline_for_a_revision(old: sa.Engine) -> None:
    upgrade(old)
    columns = "study_uid, revision, number, state, urgency, priority, created_at, flags, timings_s, error"
    insert = f"INSERT INTO jobs (job_id, pipeline, {columns}) SELECT :job, :pipeline, {columns} FROM jobs"
    with old.begin() as connection:
        connection.execute(sa.text(insert), {"job": "k", "pipeline": "emphysema-index"})
    with pytest.raises(sa.exc.IntegrityError), old.begin() as connection:
        one = f"{insert} WHERE job_id = 'j'"
        connection.execute(sa.text(one), {"job": "l", "pipeline": "emphysema-index"})
    records = Records(old)
    assert records.record(arrival("9"), "spool/9", "b" * 64, lambda *_: True) is Recorded.NEW
    created = create_due_jobs(records, at(60), lambda _: 60.0, pipelines=("covid-severity", "emphysema-index"))
    later = {Jobs(old).get(job_id).pipeline: Jobs(old).get(job_id) for job_id in created}
    assert {pipeline: (job.number, job.supersedes) for pipeline, job in later.items()} == {
        "covid-severity": (2, "j"),
        "emphysema-index": (2, "k"),
    }


def test_results_before_0010_have_no_rank_and_stand_on_the_worklist(old: sa.Engine) -> None:
    migrate(old, "0008")
    with old.begin() as connection:
        connection.execute(sa.text("UPDATE jobs SET series_uid = '1.2'"))
    upgrade(old)
    (line,) = Worklist(old).entries()
    assert (line["job_id"], line["rank"], line["reviewed_before"]) == ("j", None, False)


def test_0012_takes_the_audit_trail_as_it_is_into_the_chain(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        metadata = sa.MetaData()
        metadata.reflect(connection)
        metadata.drop_all(connection)
    migrate(engine, "0011")
    old, before = engine, sa.MetaData()
    before.reflect(old)
    row = {
        "who": "ada\u2028",
        "what": "retry",
        "subject": "a job",
        "outcome": "begun",
        "detail": {"of": "ä", "share": 0.1},
    }
    with old.begin() as connection:
        for number, second in ((1, 0.0), (2, 0.25), (7, 1.0)):
            moment = at(second).replace(tzinfo=None)
            connection.execute(sa.insert(before.tables["audit"]).values(row | {"id": number, "at": moment}))
    upgrade(old)
    trail = Audit(old, lambda: at(9))
    trail.note("ada", "promote", "lobes", "done")
    assert [(one["id"], one["entry"], one["at"]) for one in trail.entries()] == [
        (4, 4, at(9)),
        (3, 3, at(1)),
        (2, 2, at(0.25)),
        (1, 1, at(0)),
    ]
    assert trail.entries()[1]["detail"] == row["detail"]
    found = AuditHeads(old, None, Path("gone"), lambda: at(9)).verify([])
    assert (found.broken, found.rows) == ((), 4)


def test_results_before_0015_are_of_nobody_and_compared_with_no_later_ct(old: sa.Engine) -> None:
    migrate(old, "0008")
    with old.begin() as connection:
        connection.execute(sa.text("UPDATE jobs SET series_uid = '1.2'"))
    upgrade(old)
    with old.begin() as connection:
        assert connection.scalar(sa.text("SELECT patient FROM jobs")) is None
    key = patient_key("4711", "")
    assert list(PriorJobs(old).find(key, "covid-severity", "another", at(10**6), at(10**6))) == []
